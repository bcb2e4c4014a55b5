"""The report of a fabricated study, made by the workflow's own scripts."""

import runpy
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from report_results import ARCHITECTURES, AUGMENTATIONS, SEEDS

TITLES = {"architectures": ARCHITECTURES, "augmentations": AUGMENTATIONS}
SCRIPTS = Path(__file__).parents[2] / "workflow" / "scripts"


def main_of(script: str) -> Callable[..., None]:
    """`main` of a workflow script, imported outside Snakemake."""
    return runpy.run_path(str(SCRIPTS / script))["main"]


def _seeds(results: Path, folder: str, file: str = "metrics.json") -> list[str]:
    return [str(results / folder / f"seed{seed}" / file) for seed in SEEDS]


def _dataset(results: Path, published: str) -> str:
    path = results / "data" / published / "dataset.json"
    return str(path if path.is_file() else results / "data" / "shapes" / "dataset.json")


def _self_supervision(results: Path) -> dict[str, Any]:
    """Arguments of `read_self_supervision`."""
    evaluations = {
        "linear_probe": ("Linear probe", {"simclr": "probe/simclr", "random": "probe/random"}),
        "knn": ("200 nearest neighbours", {"simclr": "knn/simclr", "random": "knn/random"}),
        "labels1": (
            "Linear probe, 1 % of the labels",
            {"simclr": "label_fraction/simclr/percent1", "random": "label_fraction/random/percent1"},
        ),
        "fine_tune1": ("Fine-tuned, 1 % of the labels", {"simclr": "fine_tune/percent1"}),
    }
    trainings = {"simclr": "simclr", "linear_probe": "probe/simclr", "supervised": "supervised"}
    return {
        "dataset": _dataset(results, "cifar10"),
        "methods": {
            "simclr_linear_probe": _seeds(results, "probe/simclr"),
            "supervised_resnet18": _seeds(results, "supervised"),
            "random_linear_probe": _seeds(results, "probe/random"),
        },
        "simclr": _seeds(results, "simclr"),
        "histories": {run: _seeds(results, folder, "history.csv") for run, folder in trainings.items()},
        "evaluations": [
            {
                "name": name,
                "title": title,
                "runs": {encoder: _seeds(results, folder) for encoder, folder in runs.items()},
            }
            for name, (title, runs) in evaluations.items()
        ],
    }


def grid_files(
    results: Path, architectures: Iterable[str] = ARCHITECTURES, augmentations: Iterable[str] = AUGMENTATIONS
) -> dict[str, Any]:
    """Arguments of `read_grid`."""
    return {
        "dataset": _dataset(results, "cifar100"),
        "metrics": [
            path
            for architecture in architectures
            for augmentation in augmentations
            for path in _seeds(results, f"grid/{architecture}-{augmentation}")
        ],
        "architectures": {name: ARCHITECTURES[name] for name in architectures},
        "augmentations": {name: AUGMENTATIONS[name] for name in augmentations},
    }


def make_tables(results: Path) -> None:
    def table(name: str) -> list[str]:
        return [str(results / f"tables/{name}.{suffix}") for suffix in ("csv", "md", "tex")]

    main_of("tabulate_part1.py")(_self_supervision(results), table("self_supervision"))
    part2 = main_of("tabulate_part2.py")
    names = ("top1", "top5", "published", "differences", "cost")
    inputs = SimpleNamespace(**grid_files(results), parameters=str(results / "grid/parameters.json"))
    part2(inputs, SimpleNamespace(titles=TITLES), {name: table(f"grid_{name}") for name in names})
    part2(inputs, None, {"parameters": table("parameters")})


def _figures(results: Path) -> dict[str, Any]:
    """Where the figures are, as the sections of the page take them."""
    figures = results / "figures"

    def two_widths(name: str) -> list[str]:
        return [str(folder / f"{name}.svg") for folder in (figures, figures / "narrow")]

    return {
        "self_supervision": {
            **{name: str(figures / f"self_supervision_{name}.svg") for name in ("loss", "neighbours")},
            **{name: two_widths(f"self_supervision_{name}") for name in ("accuracy", "confusion")},
            "feature_map": two_widths("feature_map"),
        },
        "grid": {
            "gallery": two_widths("augmentations"),
            "overview": two_widths("grid"),
            "overfitting": two_widths("overfitting"),
            "confusion": two_widths("confusion"),
            "curves": {name: two_widths(f"grid_{name}") for name in ARCHITECTURES},
            "attention": {"vit": two_widths("attention_vit")},
        },
        "orbit": {
            **{
                name: str(figures / f"scenes/orbit/{name}.svg")
                for name in ("sharpness", "training", "cameras", "matches")
            },
            "contact_sheet": two_widths("scenes/orbit/contact_sheet"),
            "strips": two_widths("scenes/orbit/views"),
        },
    }


def make_figures(results: Path, *, architectures: Iterable[str] = ARCHITECTURES) -> None:
    figures = _figures(results)
    dataset = _dataset(results, "cifar100")
    part1, part2, part3 = (main_of(f"plot_part{number}.py") for number in (1, 2, 3))
    inputs = SimpleNamespace(
        dataset=_dataset(results, "cifar10"),
        simclr=_seeds(results, "simclr", "history.csv"),
        probe=_seeds(results, "probe/simclr", "history.csv"),
        supervised=_seeds(results, "supervised", "history.csv"),
        random=_seeds(results, "probe/random", "history.csv"),
        probe_results=_seeds(results, "probe/simclr"),
        supervised_results=_seeds(results, "supervised"),
        simclr_map=_seeds(results, "feature_map/simclr", "map.csv"),
        random_map=_seeds(results, "feature_map/random", "map.csv"),
    )
    for name, target in figures["self_supervision"].items():
        part1(name, inputs, None, target)
    inputs = SimpleNamespace(
        dataset=dataset,
        metrics=grid_files(results)["metrics"],
        subsets=[],
        subset_data=[],
        labels=str(Path(dataset).with_name("test_labels.npy")),
        examples=str(results / "grid/augmentations.npz"),
        rollouts=str(results / "grid/attention/vit.npz"),
    )
    for name in ("overview", "confusion", "overfitting"):
        part2(name, inputs, SimpleNamespace(titles=TITLES), figures["grid"][name])
    columns = SimpleNamespace(titles=AUGMENTATIONS)
    part2("gallery", inputs, columns, figures["grid"]["gallery"])
    part2("attention", inputs, columns, figures["grid"]["attention"]["vit"])
    for architecture in architectures:
        histories = [
            path
            for name in AUGMENTATIONS
            for path in _seeds(results, f"grid/{architecture}-{name}", "history.csv")
        ]
        part2(
            "curves",
            SimpleNamespace(dataset=dataset, histories=histories),
            SimpleNamespace(architecture=architecture, titles=AUGMENTATIONS),
            figures["grid"]["curves"][architecture],
        )
    scene = results / "scenes/orbit"
    inputs = SimpleNamespace(
        numbers=str(scene / "views.json"),
        transforms=str(scene / "transforms.json"),
        cloud=str(scene / "sparse.ply"),
        database=str(scene / "database.db"),
        table=str(scene / "frames.csv"),
        thumbnails=str(scene / "thumbnails"),
    )
    for name, target in figures["orbit"].items():
        if name != "training":
            part3(name, inputs, target)
    part3(
        "training", SimpleNamespace(table=str(scene / "radiance/history.csv")), figures["orbit"]["training"]
    )


def make_page(
    results: Path,
    *,
    parts: tuple[str, ...] = ("self_supervision", "grid", "reconstruction"),
    own: bool = False,
) -> Path:
    figures, scene = _figures(results), results / "scenes/orbit"
    checked = [str(path) for path in results.glob("data/*/checked.json")]
    self_supervision = {
        "results": _self_supervision(results),
        "features": _seeds(results, "features/simclr"),
        "maps": [_seeds(results, f"feature_map/{name}")[0] for name in ("simclr", "random")],
        "figures": figures["self_supervision"],
        "checked": checked,
    }
    grid = {
        "results": grid_files(results),
        "parameters": None if own else str(results / "grid/parameters.json"),
        "figures": figures["grid"],
        "checked": checked,
    }
    orbit = {
        "frames": str(scene / "frames.csv"),
        "sfm": str(scene / "sfm.json"),
        "radiance": str(scene / "radiance/metrics.json"),
        "views": str(scene / "views.json"),
        "film": str(scene / "flythrough.mp4"),
        "transforms": str(scene / "transforms.json"),
        "cloud": str(scene / "sparse.ply"),
        "pose_error": str(scene / "pose_error.json"),
        "warned": [str(scene / "frames.json")],
        **figures["orbit"],
    }
    target = results / "report/index.html"
    main_of("write_report.py")(
        configuration=["config.yaml", "presets/demo.yaml"],
        self_supervision=self_supervision if "self_supervision" in parts else None,
        grid=grid if "grid" in parts else None,
        scenes={"orbit": orbit} if "reconstruction" in parts else {},
        page=str(target),
        text=str(target.with_name("summary.txt")),
    )
    return target
