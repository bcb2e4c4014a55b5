"""Confusion matrices, one panel an architecture: shades of one colour, numbers where they say something."""

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from triptych.report.style import COLOURS, INK, MUTED, RULE, new_figure

BESIDE = 2  # panels in a row
DARKEST = 0.65  # opacity of 100 %: the numbers stay readable on light and dark pages
SHADED, NUMBERED = 0.005, 0.045  # least shares that are seen, and that are written, off the diagonal


def confusion_figure(panels: Sequence[tuple[str, NDArray[np.float64]]], names: Sequence[str]) -> Figure:
    """Panels of a title and a matrix (G, G), whose rows sum to 1; G names in the same order."""
    columns = min(BESIDE, len(panels))
    rows = -(-len(panels) // columns)
    longest = max(map(len, names))
    cell = 7.4 / (columns * len(names))  # inches
    margin = 0.075 * longest
    figure = new_figure(10.0, rows * (cell * len(names) + margin + 0.45) + 0.1)
    grid = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (title, matrix) in zip(grid.flat, panels, strict=False):
        _draw(axes, matrix, names, size=min(8.0, 72 * cell / 2.5))
        axes.set_title(title)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for row in grid:
        row[0].set_ylabel("right")
    for axes in grid.flat[max(0, len(panels) - columns) : len(panels)]:  # the lowest of each column
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("predicted")
    return figure


def _draw(axes: Axes, matrix: NDArray[np.float64], names: Sequence[str], *, size: float) -> None:
    count = len(names)
    rows, columns = np.nonzero(matrix >= SHADED)
    squares = [Rectangle((column - 0.5, row - 0.5), 1, 1) for row, column in zip(rows, columns, strict=True)]
    shares = matrix[rows, columns]
    # The eye tells apart small shares better by their roots.
    colours = [to_rgba(COLOURS[0], DARKEST * share**0.5) for share in shares]
    axes.add_collection(PatchCollection(squares, facecolors=colours, linewidths=0))
    for row, column, share in zip(rows, columns, shares, strict=True):
        if row == column or share >= NUMBERED:
            weight = "bold" if row == column else "normal"
            style: dict[str, Any] = {
                "ha": "center",
                "va": "center",
                "fontsize": size,
                "fontweight": weight,
                "color": INK,
            }
            axes.text(float(column), float(row), f"{100 * share:.0f}", **style)
    axes.set(xlim=(-0.5, count - 0.5), ylim=(count - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(count), names, rotation=90, fontsize=8)
    axes.set_yticks(range(count), names, fontsize=8)
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)


def statement_figure(text: str) -> Figure:
    """A figure that says why it shows nothing."""
    figure = new_figure(10.0, 0.8)
    figure.text(0.0, 0.5, textwrap.fill(text, 130), color=MUTED, va="center")
    return figure
