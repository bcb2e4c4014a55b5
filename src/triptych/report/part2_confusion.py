"""Part 2's confusion matrices: the best cell of each architecture, by superclass or class."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from triptych.report.figures import (
    COLOURS,
    INK,
    MUTED,
    columns_that_fit,
    frame_axes,
    new_figure,
    page_width,
    shorten,
)
from triptych.report.part2_grid import Grid
from triptych.workflow.files import read_array

MOST = 20  # maximum number of groups in a figure
LETTERS = 2.4  # of the name of a class, for each inch of the page
BESIDE = 2  # panels in a row
DARKEST = 0.65  # opacity of 100 %: the numbers stay readable on light and dark pages
SHADED, NUMBERED = 0.005, 0.045  # minimum shares for shading, and for a number off the diagonal


@dataclass(frozen=True)
class Groups:
    """Groups of classes: `kind` (class or superclass), names, and for each class the index of its group."""

    kind: str
    names: tuple[str, ...]
    of_class: tuple[int, ...]


def confusable_groups(dataset: Mapping[str, Any]) -> Groups | None:
    """The superclasses of a `dataset.json`; where there are none, its classes, if they are at most 20."""
    classes = dataset["classes"]
    if dataset.get("superclasses"):
        return Groups("superclass", tuple(dataset["superclasses"]), tuple(dataset["superclass_of_class"]))
    if len(classes) <= MOST:
        return Groups("class", tuple(classes), tuple(range(len(classes))))
    return None


def confusion(
    labels: NDArray[np.integer], predictions: Sequence[NDArray[np.integer]], groups: Groups
) -> NDArray[np.float64]:
    """Share of the images of each group that is predicted as each group, over all seeds together.

    Args:
        labels: (N,) right classes.
        predictions: of every seed, (N,) predicted classes.
        groups: G groups of the classes.

    Returns:
        (G, G): rows are the right groups, columns the predicted ones. Rows sum to 1; those of groups
        without images are 0.
    """
    group = np.asarray(groups.of_class)
    counts = np.zeros((len(groups.names), len(groups.names)))
    for predicted in predictions:
        np.add.at(counts, (group[labels], group[predicted]), 1)
    return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def order_by_confusion(matrices: Sequence[NDArray[np.float64]]) -> list[int]:
    """An order of the groups in which confused ones are neighbours, the same for all matrices.

    Average linkage on one minus the mean confusion in both directions, with the leaves in the order that
    minimises the distances between neighbours (Bar-Joseph et al., Fast Optimal Leaf Ordering, 2001).
    """
    mean = np.mean(matrices, axis=0)
    similarity = (mean + mean.T) / 2
    if len(similarity) < 3:
        return list(range(len(similarity)))
    distance = 1 - similarity
    np.fill_diagonal(distance, 0)
    tree = linkage(squareform(distance, checks=False), method="average", optimal_ordering=True)
    return [int(leaf) for leaf in leaves_list(tree)]


def no_matrix(count: int) -> Figure:
    """Says that so many classes do not fit into a figure."""
    figure = new_figure(page_width(), 0.8)
    text = (
        f"No confusion is shown: the data set has {count} classes without superclasses, and a figure has "
        f"room for {MOST}."
    )
    figure.text(0.0, 0.5, textwrap.fill(text, int(13 * page_width())), color=MUTED, va="center")
    return figure


def confusion_figure(grid: Grid, labels: NDArray[np.integer]) -> Figure:
    """One panel per architecture: the predictions of all seeds of its best augmentation in validation.

    Args:
        grid: `predictions.npy` of each run is read from beside its `metrics.json`.
        labels: (N,) right classes of the test images.
    """
    groups = confusable_groups(grid.dataset.values)
    if groups is None:
        return no_matrix(len(grid.dataset.values["classes"]))
    group, best = np.asarray(groups.of_class), grid.best_in_validation()
    panels = []
    for cell, results in grid.cells.items():
        if cell in grid.single_cells or best[cell[0]] == cell:
            predictions = [read_array(result.path.with_name("predictions.npy")) for result in results]
            right = np.mean([group[labels] == group[predicted] for predicted in predictions])
            title = f"{grid.title(cell)}: {100 * right:.1f} % right"
            panels.append((title, confusion(labels, predictions, groups)))
    return draw_matrices(panels, groups.names)


def draw_matrices(panels: Sequence[tuple[str, NDArray[np.float64]]], names: Sequence[str]) -> Figure:
    """Panels of a title and a matrix (G, G), whose rows sum to 1, in the order of `order_by_confusion`."""
    order = order_by_confusion([matrix for _, matrix in panels])
    letters = max(13, int(LETTERS * page_width()))
    names = [shorten(names[index].replace("_", " "), letters) for index in order]
    columns = columns_that_fit(min(BESIDE, len(panels)), 4.5)
    rows = -(-len(panels) // columns)
    longest = max(map(len, names))
    cell = 0.74 * page_width() / (columns * len(names))  # inches
    margin = 0.075 * longest
    figure = new_figure(page_width(), rows * (cell * len(names) + margin + 0.45) + 0.1)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (title, matrix) in zip(grid.flat, panels, strict=False):
        _draw_matrix(axes, matrix[np.ix_(order, order)], names, size=min(8.0, 72 * cell / 1.8))
        axes.set_title(title)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("right")
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("predicted")
    return figure


def _draw_matrix(axes: Axes, matrix: NDArray[np.float64], names: Sequence[str], *, size: float) -> None:
    rows, columns = np.nonzero(matrix >= SHADED)
    squares = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in zip(rows, columns, strict=True)]
    shares = matrix[rows, columns]
    # Square roots make small shares easier to distinguish.
    colours = [to_rgba(COLOURS[0], DARKEST * share**0.5) for share in shares]
    axes.add_collection(PatchCollection(squares, facecolors=colours, linewidths=0))
    style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": size, "color": INK}
    for row, column, share in zip(rows, columns, shares, strict=True):
        if row == column or share >= NUMBERED:
            weight = "bold" if row == column else "normal"
            axes.text(float(column), float(row), f"{100 * share:.0f}", fontweight=weight, **style)
    count = len(names)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(count), names, rotation=90, fontsize=8)
    axes.set_yticks(range(count), names, fontsize=8)
    axes.tick_params(length=0)
    frame_axes(axes)
