"""Copy finished results of a run into `study/`: numbers, curves and predictions, no weights.

A result is finished if its job has recorded it (`triptych.workflow.records`) and its files are as recorded.
`manifest.json` lists all collected results with revision, machine, command and the digests of their files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.report.results import describe_machine
from triptych.study.recipes import recipe_differences
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, digest_of_file, read_json, write_json
from triptych.workflow.records import RECORDS

KINDS = (
    *("data", "grid", "subsets", "supervised", "simclr", "random", "features"),
    *("probe", "knn", "label_fraction", "feature_map", "fine_tune", "scenes"),
)
NUMBERS = ("metrics.json", "dataset.json", "views.json")  # of a result one of these
KEPT = (*NUMBERS, "history.csv", "predictions.npy", "map.csv", "test_labels.npy")
MANIFEST = "manifest.json"


@dataclass
class Finished:
    """A finished result: its name, such as `grid/vit-cutmix/seed0`, its JSON file, and the files to copy."""

    name: str
    values: dict[str, Any]
    files: Sequence[Path]
    problems: list[str] = field(default_factory=list)

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it comes from."""
        return self.values["provenance"]

    @property
    def main(self) -> Path:
        """The file with the numbers."""
        return next(path for path in self.files if path.suffix == ".json")


def finished_results(run: Path) -> list[Finished]:
    """The finished results of a run, by the records of its jobs.

    Args:
        run: the folder that has `results/`.

    Raises:
        TriptychError: it has no results, or a record cannot be read.
    """
    if not (run / RECORDS).is_dir():
        raise TriptychError(f"{run}: no records of finished jobs (results/records); give the folder of a run")
    found = []
    for record in sorted((run / RECORDS / "jobs").rglob("*.json")):
        try:
            written = read_json(record)["outputs"]
            files = {Path(name): entry for output in written.values() for name, entry in output.items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise TriptychError(f"{record}: not a record of a job; run the study again") from error
        kept = {path: entry for path, entry in files.items() if path.name in KEPT and path.parts[1] in KINDS}
        main = next((path for path in kept if path.name in NUMBERS), None)
        if main is not None:
            found.append(_read(run, main, kept))
    return found


def _read(run: Path, main: Path, kept: Mapping[Path, Any]) -> Finished:
    problems = []
    for path, (_, digest) in kept.items():
        if not (run / path).is_file():
            problems.append(f"{path.name} is missing")
        elif digest_of_file(run / path) != digest:
            problems.append(f"{path.name} is not as its job wrote it")
    values: dict[str, Any] = {"provenance": {}}
    if not problems:
        values = read_json(run / main)
    name = main.parent.relative_to("results").as_posix()
    return Finished(name, values, [run / path for path in kept], problems)


def check(found: Sequence[Finished], config: Mapping[str, Any]) -> None:
    """Add to each result why it cannot be collected: files, revision, data, recipe.

    Args:
        found: the results of one run.
        config: the preset that they should be of (see `study_config`).
    """
    data = {result.values.get("name"): result for result in found if result.name.startswith("data/")}
    for result in found:
        if result.problems:
            continue
        revision = result.provenance.get("revision")
        if revision is None:
            result.problems.append("it has no revision: the run was not a checkout of git")
        elif revision.endswith("+changes"):
            result.problems.append(f"its revision {revision} had changes that were not committed")
        if result.name.startswith("data/"):
            result.problems += _data_differences(config, result)
            continue
        if result.name.startswith("scenes/"):
            result.problems += recipe_differences(config, result.name, result.provenance["recipe"], None)
            continue
        used, wanted = result.provenance.get("data", {}), _dataset_of(config, result)
        packed = data.get(wanted)
        if packed is None or used.get("name") != wanted:
            result.problems.append(f"it is of the data set {used.get('name')}, the preset's is {wanted}")
            continue
        if used["digest"] != packed.values["digest"][:16]:
            result.problems.append(f"the images of {wanted} are others now than those of this result")
        images = packed.values["counts"]["train"]
        recipe = result.provenance["recipe"]
        result.problems += recipe_differences(config, result.name, recipe, images)


def _dataset_of(config: Mapping[str, Any], result: Finished) -> str:
    """The data set that a result must be of."""
    kind, name = result.name.split("/")[:2]
    if kind == "subsets":
        return name
    return config["grid" if kind == "grid" else "self_supervision"]["dataset"]


def _data_differences(config: Mapping[str, Any], result: Finished) -> list[str]:
    settings = config["datasets"].get(result.values["name"])
    if settings is None:
        return ["the preset has no data set of this name"]
    recipe = result.provenance["recipe"]
    return [
        f"{knob} {recipe.get(knob)} instead of {settings[knob]}"
        for knob in ("train_size", "test_size", "train", "test", "seed")
        if knob in settings and recipe.get(knob) != settings[knob]
    ]


def collect(
    run: Path,
    study: Path,
    config: Mapping[str, Any],
    presets: Sequence[str],
    *,
    chosen: Sequence[str] = (),
    replace: bool = False,
) -> list[str]:
    """Copy the finished results of a run into `study`; nothing is copied if one of them has a problem.

    Args:
        run: the folder that has `results/`.
        study: receives `grid/…`, `data/…` and so on, and `manifest.json`.
        config: the preset that the results should be of.
        presets: its files, for the manifest.
        chosen: names of results, or beginnings of them, such as `grid/vit-cutmix`; none: all.
        replace: whether to overwrite results that `study` has with other numbers.

    Returns:
        One line for each result.

    Raises:
        TriptychError: a result is damaged, not from a commit, not of the preset, or `study` has another one.
    """
    found = finished_results(run)
    check(found, config)
    wanted = [result for result in found if not chosen or result.name.startswith(tuple(chosen))]
    if not any(not result.name.startswith("data/") for result in wanted):
        raise TriptychError(f"{run}: no finished result{' of ' + ', '.join(chosen) if chosen else ''} yet")
    on_images = [result for result in wanted if not result.name.startswith(("data/", "scenes/"))]
    used = {_dataset_of(config, result) for result in on_images}
    wanted = [
        result
        for result in found
        if result in wanted or (result.name.startswith("data/") and result.name[5:] in used)
    ]
    manifest = read_json(study / MANIFEST) if (study / MANIFEST).exists() else {}
    same = [result for result in wanted if _is_there(result, study, manifest)]
    for result in wanted:
        there = manifest.get(result.name)
        if there and result not in same and not replace:
            result.problems.append(
                f"{study} has another one, of revision {there['revision']}; --replace overwrites it"
            )
    if problems := [f"{result.name}: {text}" for result in wanted for text in result.problems]:
        raise TriptychError("\n".join([*problems, "nothing was collected"]))
    for result in wanted:
        if result not in same:
            for path in result.files:
                _copy(path, study / result.name / path.name)
            manifest[result.name] = _entry(result, study, presets)
    write_json(study / MANIFEST, dict(sorted(manifest.items())))
    return [f"{result.name}: {'is there already' if result in same else 'collected'}" for result in wanted]


def _is_there(result: Finished, study: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether `study` has this result; of a data set, one with the same images."""
    if result.name not in manifest or result.problems:
        return False
    if result.name.startswith("data/"):
        return bool(read_json(study / result.name / "dataset.json")["digest"] == result.values["digest"])
    digests = {path.name: digest_of_file(path) for path in result.files}
    return bool(manifest[result.name]["files"] == digests)


def _copy(source: Path, target: Path) -> None:
    """Copy a file; `dataset.json` without the folder of the archive, which is a path of one machine."""
    if source.name == "dataset.json":
        values = read_json(source)
        for place in (values["source"], values["provenance"]["recipe"]):
            if place.get("path"):
                place["path"] = Path(place["path"]).name
        write_json(target, values)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(target) as temporary:
        temporary.write_bytes(source.read_bytes())


def _entry(result: Finished, study: Path, presets: Sequence[str]) -> dict[str, Any]:
    facts = result.provenance
    target = f"results/{result.name}/{result.main.name}"
    return {
        "revision": facts["revision"],
        "finished": facts["finished"],
        "machine": describe_machine(facts["hardware"]),
        "seconds": facts["wall_seconds"],
        "command": f"snakemake {target} --cores all --configfile {' '.join(presets)}",
        "files": {path.name: digest_of_file(study / result.name / path.name) for path in result.files},
    }
