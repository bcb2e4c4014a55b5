"""What was asked in each part and what was found, in sentences: for the page, the terminal and the study.

Intervals are 95 % confidence intervals by Student's t over the seeds, from `MIN_SEEDS` seeds on.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from triptych.report.class_results import chance_text
from triptych.report.part2_contrasts import against_baseline
from triptych.report.part2_grid import METRICS, NOT_RUN, Cell, Grid
from triptych.report.part2_tables import count_published, not_lower, published_errors
from triptych.report.published import is_own, published_value, same_dataset
from triptych.report.results import Result
from triptych.report.sections import Answer
from triptych.report.statistics import decimals, difference_of, estimate

TOP1, BALANCED = "test_top1_error", "test_balanced_accuracy"
NAMES = {"test_top1_accuracy": "top-1 accuracy", TOP1: "top-1 error", BALANCED: "balanced accuracy"}
METHODS = {
    "simclr_linear_probe": "SimCLR with a linear probe",
    "supervised_resnet18": "Supervised training of the same network",
    "random_linear_probe": "The same probe on an untrained encoder",
}
ROWS = {"resnet18": "ResNet18", "vit": "ViT"}
COLUMNS = {"baseline": "baseline", "mixup": "mixup", "cutout": "Cutout", "cutmix": "CutMix"}


def mean_text(values: Sequence[float], unit: str = " %", of: str = "seeds") -> str:
    """A mean with its interval: `25.20 % [24.90, 25.50] (3 seeds)`, `25.20 % (1 seed, no interval)`.

    There is no interval where a run diverged, or all are equal. That of a percentage ends at 0 and 100.
    """
    found = difference_of(values)
    mean = f"{decimals(found.mean)}{unit}"
    if found.low is None or found.high is None:
        return f"{mean} ({found.n} {of if found.n > 1 else of.removesuffix('s')}, no interval)"
    low, high = (max(0.0, found.low), min(100.0, found.high)) if unit == " %" else (found.low, found.high)
    return f"{mean} [{decimals(low)}, {decimals(high)}] ({found.n} {of})"


def _value(results: Sequence[Result], metric: str) -> str:
    """`a top-1 accuracy of 25.20 % (1 seed, no interval)`."""
    return f"a {NAMES[metric]} of {mean_text([result.number(metric) for result in results])}"


def _chance(dataset: Mapping[str, Any] | None, metric: str) -> list[str]:
    level = chance_text(dataset, metric) if dataset else None
    return [] if level is None else [f"Chance level: {level} %."]


def self_supervision_answer(
    methods: Mapping[str, Sequence[Result]], dataset: Mapping[str, Any] | None = None
) -> Answer:
    """Part 1, from the results of all seeds by method; `dataset` is `dataset.json`, by default CIFAR-10's."""
    own = dataset is not None and is_own(dataset)
    same = dataset is None or same_dataset("self_supervision", dataset)
    metric, sentences = BALANCED if own else "test_top1_accuracy", []
    published = {
        method: value
        for method in METHODS
        if (value := published_value("self_supervision", method, "test_top1_accuracy")) is not None
    }
    for method, title in METHODS.items():
        if results := methods.get(method):
            against = ""
            if same and method in published:
                higher = estimate(results, metric).mean > published[method]
                against = f", {'' if higher else 'not '}higher than the published {published[method]:.2f} %"
            sentences.append(f"{title} reaches {_value(results, metric)}{against}.")
        elif method in published:
            sentences.append(f"{title}: {NOT_RUN}.")
    sentences += _chance(dataset, metric)
    if not own and not same:
        values = " and ".join(f"{value:.2f} %" for value in published.values())
        sentences.append(f"The published {values} are of CIFAR-10 and not comparable.")
    name = f"“{dataset['name']}”" if dataset and not same else "CIFAR-10"
    question = f"How good are features that are learnt without labels on {name}?"
    return Answer(question, " ".join(sentences), part="Self-supervision")


def unlabelled_answer(images: int, pretraining: Sequence[Result], name: str) -> Answer:
    """Part 1 of images without labels: how much their features differ."""
    spread = mean_text([result.number("feature_std") for result in pretraining], unit="")
    return Answer(
        f"Which images of “{name}” are similar?",
        f"SimCLR has encoded {images:,} images without labels. The spread of their features is {spread}; 0 "
        "is a collapse, 1 the most that is possible. Part I shows the images that it takes for similar.",
        part="Self-supervision",
    )


def grid_answer(grid: Grid | None) -> Answer:
    """Part 2: the best augmentation of each architecture, beside its baseline and what was published.

    Without a grid, that of the published data set, of which nothing was run.
    """
    own = grid is not None and grid.comparison.own
    same = grid is None or grid.repeats_published
    sentences = []
    for row, title in ((ROWS if same else {}) | (dict(grid.architectures) if grid else {})).items():
        if grid and any(cell[0] == row for cell in grid.cells):
            sentences.append(_row_sentence(grid, row, ROWS.get(row, title), BALANCED if own else TOP1))
        else:
            sentences.append(f"{ROWS.get(row, title)}: {NOT_RUN}.")
    sentences += _chance(grid.dataset.values if grid else None, BALANCED if own else TOP1)
    count, *caveats = published_sentences(grid)
    if same:
        sentences.append(count)
    elif grid and not own and not grid.comparison.same_dataset:
        sentences.append("The published errors are of CIFAR-100 and not comparable.")
    name = "CIFAR-100" if grid is None or grid.comparison.same_dataset else f"“{grid.comparison.dataset}”"
    best = "highest balanced accuracy" if own else "lowest error"
    question = f"Which augmentation and which architecture have the {best} on {name}?"
    return Answer(
        question, " ".join(sentences), part="Architecture × augmentation", caveats=caveats if same else ()
    )


def _row_sentence(grid: Grid, row: str, title: str, metric: str) -> str:
    """The best augmentation of an architecture by validation images, with its value on test images."""
    cells = [cell for cell in grid.cells if cell[0] == row]
    cell = grid.best_in_validation().get(row, cells[0])
    published = grid.published(cell, metric) if grid.comparison.same_dataset else None
    beside = "" if published is None else f", published {published:.2f} %"
    reached = f"{_value(grid.cells[cell], metric)}{beside}"
    if len(cells) == 1:
        return f"{title}: only {_column(grid, cell)} was run, with {reached}."
    return (
        f"{title}: of the {len(cells)} augmentations run, {_column(grid, cell)} is the best on validation "
        f"images; on test images it has {reached}{_gain(grid, cell, metric)}."
    )


def _column(grid: Grid, cell: Cell) -> str:
    return COLUMNS.get(cell[1], grid.augmentations[cell[1]])


def _gain(grid: Grid, cell: Cell, metric: str) -> str:
    """By how much a cell's result differs from its row's baseline."""
    for contrast in against_baseline(grid, metric):
        if contrast.cell == cell:
            sure = " (significant)" if contrast.distinguishable else " (not significant)"
            tested = sure if contrast.distinguishable is not None else ""
            return f", {contrast.difference} points against {_column(grid, contrast.reference)}{tested}"
    return ""


def published_sentences(grid: Grid | None) -> list[str]:
    """Of how many published errors ours is lower, and of which it is not."""
    errors = published_errors(grid)
    names = [
        f"{ROWS[row]} with {COLUMNS[column]}, {METRICS[metric].lower()}"
        for (row, column), metric, *_ in not_lower(errors)
    ]
    text = f"{count_published(errors)} that were not run."
    return [text, *([f"Not lower than published: {'; '.join(names)}."] if names else [])]


def reconstruction_answer(scenes: Mapping[str, Result], poses: Mapping[str, Result] | None = None) -> Answer:
    """Part 3, from `views.json` and `sfm.json` by scene; the interval is over the held-out views."""
    sentences = []
    for name, result in scenes.items():
        psnrs = [float(view["psnr"]) for view in result.values["views"]]
        found = (poses or {}).get(name)
        sentences.append(
            f"“{name}”: a mean PSNR (↑) of {mean_text(psnrs, ' dB', 'views')}, "
            f"a mean SSIM (↑) of {result.number('ssim'):.3f}."
        )
        if found:
            registered, images = found.values["registered"], found.values["images"]
            sentences.append(f"{registered} of {images} images have a pose.")
    text = " ".join(sentences) or f"{NOT_RUN.capitalize()}."
    question = "How well are unseen views rendered?"
    return Answer(question, text, part="Reconstruction")
