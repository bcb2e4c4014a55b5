"""Measured costs of jobs: of one image of a training, of one job otherwise.

Rates come from finished jobs: the CPU time that Snakemake measured (`results/benchmarks/jobs`), the wall time
in a result's provenance, and the sizes of the outputs. `rates.yaml` has rates for studies without finished
jobs, with the machine that they were measured on. A rate holds for its kind alone: a training of the same
network on images of the same size, or a job with the same recipe on the same data set or scene.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from triptych.config.cells import image_side
from triptych.data.sources import OFFICIAL
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value, read_json, write_text
from triptych.workflow.provenance import cpu_model

SHIPPED = Path(__file__).with_name("rates.yaml")
CIFAR_IMAGES = {"train": 50_000, "test": 10_000}
PARTS = {"simclr": "self_supervision", "evaluation": "self_supervision", "grid": "grid"}  # by file of rules


@dataclass(frozen=True)
class Rate:
    """What work of one kind costs.

    Attributes:
        core_seconds, gpu_seconds: per unit of work.
        bytes_per_job: size of a job's outputs; None if that is not known.
        source: where it was measured.
    """

    core_seconds: float
    gpu_seconds: float
    bytes_per_job: float | None
    source: str


@dataclass(frozen=True)
class Work:
    """What a job has to do.

    Attributes:
        kind: jobs of the same kind have the same rate.
        amount: in units; images times epochs (times views) of a training, 1 for other jobs.
        budget: its cost if the config gives its time, else None.
    """

    kind: str
    amount: float = 1.0
    budget: Rate | None = None


def image_counts(config: Mapping[str, Any], dataset: str) -> dict[str, int] | None:
    """Numbers of training and test images; None for a folder that has not been packed."""
    packed = Path(f"results/data/{dataset}/dataset.json")
    with suppress(OSError, ValueError, KeyError, TypeError):  # not packed yet, or damaged and packed again
        counts = read_json(packed)["counts"]
        return {part: int(counts[part]) for part in ("train", "test")}
    settings = config["datasets"][dataset]
    if settings["source"] == "shapes":
        return {"train": settings["train"], "test": settings["test"]}
    if settings["source"] in {*OFFICIAL, "archive"}:
        return {part: settings.get(f"{part}_size") or count for part, count in CIFAR_IMAGES.items()}
    return None


def work_of(config: Mapping[str, Any], job: Any) -> Work:
    """The work of a job of Snakemake's DAG."""
    rule, recipe = job.rule.name, job.params.get("recipe", {})
    gpu = ["GPU"] if job.resources.get("gpu", 0) else []
    part = PARTS.get(Path(job.rule.snakefile).stem)
    minutes = recipe.get("minutes") if isinstance(recipe, Mapping) else None
    if minutes is not None and rule in ("pretrain_simclr", "train_radiance"):
        seconds = 60 * minutes
        budget = Rate(seconds * job.threads, seconds * job.resources.get("gpu", 0), None, "its time budget")
        return Work(f"{rule}: {minutes} minutes", budget=budget)
    dataset = config[part]["dataset"] if part else job.wildcards.get("dataset")
    counts = image_counts(config, dataset) if dataset else None
    if part is None:
        names = [name for key, name in job.wildcards.items() if key != "dataset"]
        images = [f"{sum(counts.values())} images"] if counts else []
        return Work(_kind(rule, [*names, *images, *gpu], None if dataset else recipe))
    if "epochs" not in recipe or rule == "plan_simclr":
        images = [f"{sum(counts.values())} images" if counts else f"images of {dataset}"]
        return Work(_kind(rule, [*images, *gpu], recipe))
    network, stages = recipe["architecture"], recipe.get("progressive_resizing", [])
    options = " ".join(f"{key}={value}" for key, value in network["options"].items())
    sides = [stage["size"] for stage in stages] or [image_side(config, part)]
    views = recipe["views"]["count"] if "views" in recipe else 1
    share = float(job.wildcards.get("percent", 100)) / 100
    details = [
        f"{network['module'].split('.')[-1]} {options}",
        f"{'-'.join(map(str, sides))} pixels",
        *gpu,
        *([] if counts else [f"images of {dataset}"]),  # of which there is no number: no rate
    ]
    training = "training" if rule in ("train_supervised", "train_cell") else rule
    amount = recipe["epochs"] * views * share * (counts["train"] if counts else 0)
    return Work(_kind(training, details), amount)


def _kind(name: str, details: Iterable[str], recipe: Any = None) -> str:
    digest = [f"recipe {digest_of_value(recipe)[:6]}"] if recipe else []
    return f"{name}: {', '.join([*details, *digest])}"


def measured_rates(config: Mapping[str, Any], jobs: Iterable[Any]) -> dict[str, Rate]:
    """The rates of finished jobs, by kind; jobs without a benchmark file are left out."""
    groups = defaultdict(list)
    for job in jobs:
        work, spent = work_of(config, job), _spent(job)
        if spent and not work.budget and work.amount:
            groups[work.kind].append((work.amount, *spent))
    rates = {}
    for kind, group in groups.items():
        amount, cores, gpus, size = (sum(column) for column in zip(*group, strict=True))
        source = f"{len(group)} jobs of this study" if len(group) > 1 else "a job of this study"
        rates[kind] = Rate(cores / amount, gpus / amount, size / len(group), source)
    return rates


def _spent(job: Any) -> tuple[float, float, float] | None:
    """CPU seconds, GPU seconds and bytes of a finished job."""
    benchmark, outputs = Path(str(job.benchmark)), [Path(str(path)) for path in job.output]
    if not benchmark.exists() or not all(path.exists() for path in outputs):
        return None
    metrics = job.output.get("metrics")
    try:
        row = next(csv.DictReader(benchmark.read_text().splitlines(), delimiter="\t"), {})
        wall, cores = float(row["s"]), float(row["cpu_time"])
        # A resumed training has measured only its last part; its provenance has the wall time of all.
        whole = read_json(metrics)["provenance"].get("wall_seconds") if metrics else None
    except (ValueError, KeyError, TypeError):  # NA: shorter than Snakemake's first look at it; or damaged
        return None
    parts = max(1.0, whole / wall) if whole and wall else 1.0
    files = [file for path in outputs for file in ([path] if path.is_file() else path.rglob("*"))]
    size = sum(file.stat().st_size for file in files if file.is_file())
    return cores * parts, wall * parts * job.resources.get("gpu", 0), size


def read_rates(path: Path | None) -> dict[str, Rate]:
    """Rates by kind from a file; None: those that come with the project.

    Raises:
        TriptychError: the file is missing or holds something else.
    """
    path = path or SHIPPED
    try:
        return {
            kind: Rate(**values) for kind, values in (yaml.safe_load(path.read_text("utf-8")) or {}).items()
        }
    except (OSError, UnicodeDecodeError, yaml.YAMLError, AttributeError, TypeError) as error:
        raise TriptychError(f"{path}: no file of rates: {error}") from error


def save_rates(path: Path, rates: Mapping[str, Rate]) -> None:
    """Write rates to a file, those of this study with the machine and the date."""
    here = f"{cpu_model()}, {date.today()}"
    values = {kind: asdict(rate) for kind, rate in sorted(rates.items())}
    for rate in values.values():
        for key in ("core_seconds", "gpu_seconds", "bytes_per_job"):
            rate[key] = rate[key] and float(f"{rate[key]:.4g}")
        rate["source"] = rate["source"].replace("of this study", f"on {here}")
    write_text(path, yaml.safe_dump(values, sort_keys=False, width=200, allow_unicode=True))
