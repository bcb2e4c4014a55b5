"""Part 2's curves: all cells at once, and four curves of every cell of an architecture."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from triptych.report.figures import (
    COLOURS,
    INK,
    MUTED,
    add_legend,
    draw_published,
    draw_runs,
    mean_curve,
    page_width,
    panel_grid,
    whole_epochs,
)
from triptych.report.part2_grid import NOT_RUN, Cell, Grid
from triptych.report.statistics import Estimate

# column of ours, its title, published metric: the published logs have no validation loss
PANELS = (
    ("train_loss", "Train loss", "train_loss"),
    ("validation_loss", "Validation loss", None),
    ("validation_top1_error", "Validation top-1 error (%)", "valid_top1_error"),
    ("validation_top5_error", "Validation top-5 error (%)", "valid_top5_error"),
)
COLUMN = "validation_top1_error"
LEAST = 2.2  # inches: the width of a panel
CORNER: dict[str, Any] = {"ha": "right", "va": "top", "fontsize": 9.5}
BEHIND: dict[str, Any] = {"color": MUTED, "linewidth": 0.6, "alpha": 0.3}
TEST_ERROR: dict[str, Any] = {"color": COLOURS[1], "marker": "D", "markersize": 4}


def architecture_figure(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    *,
    architecture: str,
    titles: Mapping[str, str],
    with_published: bool,
    with_top5: bool = True,
) -> Figure:
    """A row per augmentation, a column per curve; all panels of a column share their axes.

    Args:
        histories: the seeds' histories by augmentation.
        architecture: name of the published runs, `{architecture}-{augmentation}`.
        titles: of the augmentations.
        with_published: whether the published curves belong to the same data set.
        with_top5: whether there are more than five classes.
    """
    panels = PANELS if with_top5 else PANELS[:-1]
    figure, grid = panel_grid(len(histories), len(panels), least=LEAST, height=1.55)
    has_published = False
    for row, (augmentation, seeds) in zip(grid, histories.items(), strict=True):
        for axes, first, (column, title, metric) in zip(row, grid[0], panels, strict=True):
            axes.set_label(f"{titles[augmentation]}: {title[:1].lower()}{title[1:]}")
            axes.sharey(first)
            if with_published and metric:
                has_published |= draw_published(axes, f"{architecture}-{augmentation}", metric)
            draw_runs(axes, seeds, column, colour=COLOURS[0], label="this run")
    _name_columns(figure, grid, [title for _, title, _ in panels])
    for row, augmentation in zip(grid, histories, strict=True):
        # A panel is as high as a line of 20 letters is long.
        row[0].set_ylabel(textwrap.fill(titles[augmentation], 20), color=INK, fontsize=9.5)
    whole_epochs(grid[0, 0])
    add_legend(figure, seeds=max(map(len, histories.values())), has_published=has_published)
    return figure


def overview_figure(results: Grid, histories: Mapping[Cell, Sequence[pd.DataFrame]]) -> Figure:
    """Validation error: a row per architecture, a column per augmentation; all panels share both axes.

    The error on the test images is marked at the last epoch.

    Args:
        results: the grid.
        histories: the seeds' histories by cell; the other cells were not run.
    """
    architectures, augmentations = results.architectures, results.augmentations
    test_errors, with_published = results.estimates("test_top1_error"), results.comparison.same_dataset
    figure, grid = panel_grid(len(architectures), len(augmentations), least=LEAST, height=1.9, sharey=True)
    means = {cell: mean_curve(seeds, COLUMN) for cell, seeds in histories.items()}
    has_published = False
    for row, architecture in zip(grid, architectures, strict=True):
        for axes, augmentation in zip(row, augmentations, strict=True):
            cell = architecture, augmentation
            axes.set_label(f"{architectures[architecture]}, {augmentations[augmentation]}")
            for other, mean in means.items():
                if other != cell:
                    axes.plot(mean.index, mean, **BEHIND)
            if with_published:
                has_published |= draw_published(axes, "-".join(cell), "valid_top1_error")
            if cell not in histories:
                axes.text(0.97, 0.95, NOT_RUN, color=MUTED, transform=axes.transAxes, **CORNER)
                continue
            draw_runs(axes, histories[cell], COLUMN, colour=COLOURS[0], label="this cell")
            _mark_test_error(axes, test_errors[cell], means[cell].index.max())
        row[0].set_ylabel(textwrap.fill(architectures[architecture], 22), color=INK, fontsize=9.5)
    _name_columns(figure, grid, list(augmentations.values()))
    grid[0, 0].set_ylim(None, 100)
    whole_epochs(grid[0, 0])
    seeds = max(map(len, histories.values()))
    label = "test error" if seeds == 1 else "test error, mean ± std"
    others = [Line2D([], [], **BEHIND, label="other cells")] if len(histories) > 1 else []
    others.append(Line2D([], [], **TEST_ERROR, linestyle="", label=label))
    add_legend(figure, seeds=seeds, has_published=has_published, others=others)
    return figure


def _name_columns(figure: Figure, grid: NDArray[Any], titles: Sequence[str]) -> None:
    """Titles above the first row, or above every panel if a row takes several lines."""
    fit = figure.axes[0].get_gridspec().ncols  # type: ignore[union-attr]
    letters = int(8.8 * page_width() / fit)
    for row in grid if fit < len(titles) else grid[:1]:
        for axes, title in zip(row, titles, strict=True):
            axes.set_title(textwrap.fill(title, letters))
    for axes in figure.axes[-fit:]:
        axes.set_xlabel("epoch")


def _mark_test_error(axes: Axes, error: Estimate, epoch: float) -> None:
    axes.errorbar(epoch, error.mean, yerr=error.std or 0.0, capsize=3, zorder=5, **TEST_ERROR)[0].set_label(
        "_test error"
    )
    bold: dict[str, Any] = {"color": COLOURS[1], "fontweight": "bold"}
    axes.text(0.97, 0.95, f"{error} %", transform=axes.transAxes, **bold, **CORNER)
