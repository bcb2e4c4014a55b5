"""Which cells of the grid the confusion figure shows, and their matrices."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triptych.report.confusion import MOST, confusable_groups, confusion, neighbourly_order
from triptych.report.confusion_figure import confusion_figure, statement_figure
from triptych.report.grid_contrasts import Cells, alone_in_row, best_in_validation


def shown_cells(cells: Cells) -> list[tuple[str, str]]:
    """Of each architecture its best augmentation in validation, or its only one."""
    best = best_in_validation(cells, "test_top1_error")
    alone = alone_in_row(cells)
    return [cell for cell in cells if cell in alone or best.get(cell[0]) == cell]


def grid_confusion_figure(
    cells: Cells,
    dataset: Mapping[str, Any],
    labels: NDArray[np.integer],
    *,
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
) -> Figure:
    """One panel an architecture, the predictions of all seeds of its shown cell together.

    Args:
        cells: results by cell; `predictions.npy` of each run lies beside its `metrics.json`.
        dataset: values of `dataset.json`.
        labels: (N,) right classes of the test images.
        architectures, augmentations: from names to titles.
    """
    groups = confusable_groups(dataset)
    if groups is None:
        count = len(dataset["classes"])
        return statement_figure(
            f"No confusion is shown: the data set has {count} classes without superclasses, and a figure has "
            f"room for {MOST}."
        )
    panels = []
    for architecture, augmentation in shown_cells(cells):
        seeds = cells[architecture, augmentation]
        predictions = [np.load(result.path.with_name("predictions.npy")) for result in seeds]
        matrix = confusion(labels, predictions, groups)
        right = np.mean([_hits(labels, predicted, groups.of_class) for predicted in predictions])
        title = f"{architectures[architecture]}, {augmentations[augmentation]}: {100 * right:.1f} % right"
        panels.append((title, matrix))
    order = neighbourly_order([matrix for _, matrix in panels])
    names = [groups.names[index].replace("_", " ") for index in order]
    return confusion_figure([(title, matrix[np.ix_(order, order)]) for title, matrix in panels], names)


def _hits(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], of_class: tuple[int, ...]
) -> NDArray[np.bool_]:
    group = np.asarray(of_class)
    hits: NDArray[np.bool_] = group[labels] == group[predicted]
    return hits
