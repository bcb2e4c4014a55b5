"""Figures of part 2, each named by the output of its rule."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from triptych.report.class_results import has_top5
from triptych.report.comparison import same_dataset
from triptych.report.figures import save_figure
from triptych.report.part2_confusion import confusion_figure
from triptych.report.part2_curves import architecture_figure, overview_figure
from triptych.report.part2_grid import read_grid, read_histories
from triptych.report.part2_overfitting import overfitting_figure, read_overfitting
from triptych.report.part2_pictures import attention_figure, augmentation_figure
from triptych.report.results import read_history, read_result
from triptych.workflow.files import read_arrays
from triptych.workflow.job import job


def overview(inputs: Any, params: Any) -> Figure:
    """Validation errors of all cells; histories are beside their metrics."""
    grid = read_grid(dataset=inputs.dataset, metrics=inputs.metrics, **params.titles)
    return overview_figure(grid, read_histories(grid))


def overfitting(inputs: Any, params: Any) -> Figure:
    """Train and validation losses, and errors by share of the training images."""
    grid = read_grid(dataset=inputs.dataset, metrics=inputs.metrics, **params.titles)
    return overfitting_figure(read_overfitting(grid, inputs.subsets, inputs.subset_data))


def curves(inputs: Any, params: Any) -> Figure:
    """Curves of one architecture; `params.titles` are those of its augmentations."""
    cells = {
        name: [path for path in inputs.histories if _cell(path) == f"{params.architecture}-{name}"]
        for name in params.titles
    }
    dataset = read_result(inputs.dataset).values
    return architecture_figure(
        {name: [read_history(path) for path in paths] for name, paths in cells.items()},
        architecture=params.architecture,
        titles=params.titles,
        with_published=same_dataset("grid", dataset),
        with_top5=has_top5(dataset),
    )


def _cell(history: str) -> str:
    return Path(history).parents[1].name


def confusion(inputs: Any, params: Any) -> Figure:
    """Confusion matrices; predictions are beside their metrics."""
    grid = read_grid(dataset=inputs.dataset, metrics=inputs.metrics, **params.titles)
    return confusion_figure(grid, np.load(inputs.labels))


def gallery(inputs: Any, params: Any) -> Figure:
    """The same images under every augmentation; `params.titles` in the order of the examples."""
    classes = read_result(inputs.dataset).values["classes"]
    return augmentation_figure(read_arrays(inputs.examples), titles=params.titles, classes=classes)


def attention(inputs: Any, params: Any) -> Figure:
    """Attention rollouts of one architecture; `params.titles` in the order of the rollouts."""
    classes = read_result(inputs.dataset).values["classes"]
    return attention_figure(read_arrays(inputs.rollouts), titles=params.titles, classes=classes)


FIGURES = {
    "overview": overview,
    "overfitting": overfitting,
    "curves": curves,
    "confusion": confusion,
    "gallery": gallery,
    "attention": attention,
}


def main(figure: str, inputs: Any, params: Any, target: str | Sequence[str]) -> None:
    """Draw one of `FIGURES` from a rule's named inputs and params; a second target is for a narrow page."""
    save_figure(lambda: FIGURES[figure](inputs, params), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input, snakemake.params, target)
