"""The whole grid in one figure: every cell's validation error on the same axes, the others behind it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from triptych.report.curves import count_epochs, draw_published, draw_runs, mean_curve
from triptych.report.estimates import Estimate
from triptych.report.grid_figure import add_legend
from triptych.report.grid_table import NOT_RUN
from triptych.report.style import COLOURS, INK, MUTED, new_figure

COLUMN = "validation_top1_error"
CORNER: dict[str, Any] = {"ha": "right", "va": "top"}
BEHIND: dict[str, Any] = {"color": MUTED, "linewidth": 0.6, "alpha": 0.3}


def grid_overview_figure(
    histories: Mapping[tuple[str, str], Sequence[pd.DataFrame]],
    *,
    test_errors: Mapping[tuple[str, str], Estimate],
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
    with_published: bool,
) -> Figure:
    """A row an architecture, a column an augmentation; all panels share both axes.

    Args:
        histories: the seeds' histories by cell (architecture, augmentation); those of others were not run.
        test_errors: top-1 error on the test images (percent) by cell; marked at the last epoch.
        architectures, augmentations: from names to titles, in order.
        with_published: whether the published curves belong to the same data set.
    """
    figure = new_figure(10.0, 1.9 * len(architectures) + 0.75)
    grid = figure.subplots(len(architectures), len(augmentations), squeeze=False, sharex=True, sharey=True)
    means = {cell: mean_curve(seeds, COLUMN) for cell, seeds in histories.items()}
    has_published = False
    for row, architecture in zip(grid, architectures, strict=True):
        for axes, augmentation in zip(row, augmentations, strict=True):
            cell = architecture, augmentation
            for other, mean in means.items():
                if other != cell:
                    axes.plot(mean.index, mean, **BEHIND)
            if with_published:
                has_published |= draw_published(axes, "-".join(cell), "valid_top1_error")
            if cell not in histories:
                axes.text(0.97, 0.95, NOT_RUN, color=MUTED, fontsize=9.5, transform=axes.transAxes, **CORNER)
                continue
            draw_runs(axes, histories[cell], COLUMN, colour=COLOURS[0], label="this cell")
            _mark_test_error(axes, test_errors[cell], means[cell].index.max())
        row[0].set_ylabel(textwrap.fill(architectures[architecture], 22), color=INK, fontsize=9.5)
    runs = max(map(len, histories.values()))
    width = 88 // len(augmentations)  # letters that fit above a panel
    for axes, title in zip(grid[0], augmentations.values(), strict=True):
        axes.set_title(textwrap.fill(title, width))
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    grid[0, 0].set_ylim(None, 100)
    count_epochs(grid[0, 0])
    add_legend(
        figure,
        runs=runs,
        has_published=has_published,
        others=[
            *([Line2D([], [], **BEHIND, label="other cells")] if len(histories) > 1 else []),
            Line2D(
                [],
                [],
                color=COLOURS[1],
                marker="D",
                markersize=4,
                linestyle="",
                label="test error" if runs == 1 else "test error, mean ± std",
            ),
        ],
    )
    return figure


def _mark_test_error(axes: Axes, error: Estimate, epoch: float) -> None:
    style: dict[str, Any] = {"color": COLOURS[1], "marker": "D", "markersize": 4, "capsize": 3, "zorder": 5}
    axes.errorbar(epoch, error.mean, yerr=error.std or 0.0, **style)
    told: dict[str, Any] = {"color": COLOURS[1], "fontsize": 9.5, "fontweight": "bold"}
    axes.text(0.97, 0.95, f"{error} %", transform=axes.transAxes, **told, **CORNER)
