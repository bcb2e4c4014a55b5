"""`docs/study.md` and the study's tables in `benchmarks/RESULTS.md`, written from the results in `study/`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.report.answers import grid_answer, reconstruction_answer, self_supervision_answer
from triptych.report.conclusions import conclusions
from triptych.report.part1_results import METHODS
from triptych.report.part2_contrasts import contrast_tables
from triptych.report.part2_grid import NOT_RUN, Grid, read_grid
from triptych.report.part2_overfitting import Overfitting, overfitting_answer, read_overfitting
from triptych.report.part2_tables import error_table, published_tables
from triptych.report.published import CELL_TITLES, published_value
from triptych.report.results import Result, duration, read_result, read_results, test_looks_note
from triptych.report.sections import Answer
from triptych.report.statistics import estimate, spread_note
from triptych.report.tables import Table, markdown
from triptych.study.collect import MANIFEST
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json, write_text

BEGIN, END = "<!-- study: begin; written by `make study-page` -->", "<!-- study: end -->"
ROWS, COLUMNS = ("resnet18", "vit"), ("baseline", "mixup", "cutout", "cutmix")
FOLDERS = dict(zip(METHODS, ("probe/simclr", "supervised", "probe/random"), strict=True))
ACCURACY = "test_top1_accuracy"
PREFACE = f"""# The study

<!-- Written by `make study-page` from the results in study/; edits are lost. -->

What the project's own runs answer, and which conclusions of the
[report](https://github.com/hmtbgc/NeuralNetworkAssignment/tree/main/assignment3) they support. The runs use
the recipes of `presets/cpu.yaml`, whose trainings are shorter than the report's. Every number is computed
from the files in [`study/`](../study/README.md); what has no result there is “{NOT_RUN}”. Intervals are 95 %
confidence intervals by Student's t over the seeds, from three seeds on. With fewer there is none, and a
conclusion is undecided. Older runs, of which no files were kept, do not count here (‡ in the table of the
[README](../README.md#results)).

The recipes were chosen on validation images. For ResNet18 and for supervised training, other recipes were
evaluated on the same test images before these runs; [RESULTS.md](../benchmarks/RESULTS.md) lists them.
"""


def runs(study: Path, folder: str) -> list[Result]:
    """The results of all seeds of a run, in the order of the seeds."""
    return sorted(read_results((study / folder).glob("seed*/metrics.json")), key=lambda result: result.seed)


def read_cells(study: Path) -> Grid | None:
    """The grid of the results in `study`; None if it has no cell."""
    metrics = [
        result.path for row in ROWS for column in COLUMNS for result in runs(study, f"grid/{row}-{column}")
    ]
    if not metrics:
        return None
    return read_grid(
        dataset=study / "data/cifar100/dataset.json",
        metrics=metrics,
        architectures={row: CELL_TITLES[row] for row in ROWS},
        augmentations={column: CELL_TITLES[column] for column in COLUMNS},
    )


def read_subsets(study: Path, grid: Grid | None) -> Overfitting | None:
    """The histories of the cells, and the baselines on parts of the training images."""
    if grid is None:
        return None
    subsets = sorted((study / "subsets").glob("*/*/seed*/metrics.json"))
    datasets = sorted({study / "data" / path.parts[-4] / "dataset.json" for path in subsets})
    return read_overfitting(grid, subsets, datasets)


def study_page(study: Path) -> str:
    """The text of `docs/study.md`."""
    grid = read_cells(study)
    scenes = {path.parent.name: read_result(path) for path in sorted(study.glob("scenes/*/views.json"))}
    parts: list[Answer] = [
        self_supervision_answer({name: runs(study, folder) for name, folder in FOLDERS.items()}),
        grid_answer(grid),
        reconstruction_answer(scenes),
    ]
    lines = [PREFACE]
    for number, answer in zip(("I", "II", "III"), parts, strict=True):
        lines.append(f"## {number}. {answer.question}\n\n{' '.join([answer.text, *answer.caveats])}\n")
    lines.append("## The report's conclusions\n")
    for answer in [*conclusions(grid), overfitting_answer(read_subsets(study, grid))]:
        verdict = answer.verdict[:1].upper() + answer.verdict[1:]
        lines.append(f"- {answer.question} **{verdict}.** {answer.text}")
    lines.append(
        "\n[RESULTS.md](../benchmarks/RESULTS.md#the-study) has the tables; `make study-page` also makes the "
        "page with all figures.\n"
    )
    return "\n".join(lines)


def study_tables(study: Path) -> str:
    """The tables of the study for RESULTS.md: what was collected, beside the published figures."""
    grid, manifest = read_cells(study), study / MANIFEST
    tables = [runs_table(read_json(manifest) if manifest.exists() else {}), accuracy_table(study)]
    if grid:
        tables += [error_table(grid, metric) for metric in grid.metrics]
        tables += published_tables(grid)
        tables += contrast_tables(grid, "test_top1_error")
    return "\n".join(map(markdown, tables))


def accuracy_table(study: Path) -> Table:
    """Top-1 accuracies of part 1, one row per method."""
    found = {name: results for name in METHODS if (results := runs(study, FOLDERS[name]))}
    estimates = {
        name: estimate(results, ACCURACY, published=published_value("self_supervision", name, ACCURACY))
        for name, results in found.items()
    }
    looks = test_looks_note({METHODS[name]: results for name, results in found.items()})
    return Table(
        caption="Top-1 accuracy (%) on CIFAR-10, test images",
        header=("Method", "Accuracy"),
        rows=[(title, estimates.get(name, NOT_RUN)) for name, title in METHODS.items()],
        notes=(spread_note(estimates.values()), looks) if found else (),
        published_label="published",
    )


def runs_table(manifest: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row per collected result but the data sets: revision, time and machine."""
    results = {name: entry for name, entry in manifest.items() if not name.startswith("data/")}
    return Table(
        caption="Collected results",
        header=("Result", "Revision", "Time", "Machine"),
        rows=[
            (name, entry["revision"], duration(entry["seconds"] or 0), entry["machine"])
            for name, entry in results.items()
        ],
        notes=("" if results else f"None yet: all is “{NOT_RUN}”.",),
    )


def between_markers(text: str, content: str, path: Path) -> str:
    """The text with this content between the markers.

    Raises:
        TriptychError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise TriptychError(f"{path}: the markers of the study's tables are missing: {BEGIN} and {END}")
    return f"{before}{begin}\n\n{content}\n{end}{after}"


def write_changed(path: Path, text: str) -> list[Path]:
    """Write a file if its text changes; returns those that were written: none or this one."""
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return []
    write_text(path, text)
    return [path]


def write_documents(study: Path, page: Path, results: Path) -> list[Path]:
    """Write both documents; returns those that changed."""
    tables = between_markers(results.read_text(encoding="utf-8"), study_tables(study), results)
    return write_changed(page, study_page(study)) + write_changed(results, tables)
