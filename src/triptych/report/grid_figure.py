"""Small multiples of one architecture: a row an augmentation, a column a curve."""

import textwrap
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from triptych.report.curves import DASHES, count_epochs, draw_published, draw_runs
from triptych.report.style import COLOURS, INK, MUTED, new_figure

# column of ours, its title, published metric: the published logs have no validation loss
PANELS = (
    ("train_loss", "Train loss", "train_loss"),
    ("validation_loss", "Validation loss", None),
    ("validation_top1_error", "Validation top-1 error (%)", "valid_top1_error"),
    ("validation_top5_error", "Validation top-5 error (%)", "valid_top5_error"),
)


def grid_figure(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    *,
    architecture: str,
    titles: Mapping[str, str],
    with_published: bool,
) -> Figure:
    """Four curves by augmentation; all panels of a column share their axes.

    Args:
        histories: the seeds' histories by augmentation.
        architecture: name of the published runs, `{architecture}-{augmentation}`.
        titles: how each augmentation is called.
        with_published: whether the published curves belong to the same data set.
    """
    figure = new_figure(10.0, 1.55 * len(histories) + 0.75)
    grid = figure.subplots(len(histories), len(PANELS), squeeze=False, sharex=True, sharey="col")
    has_published = False
    for axes, (_, title, _) in zip(grid[0], PANELS, strict=True):
        axes.set_title(title)
    for axes in grid[-1]:
        axes.set_xlabel("epoch")
    for row, (augmentation, seeds) in zip(grid, histories.items(), strict=True):
        for axes, (column, _, metric) in zip(row, PANELS, strict=True):
            if with_published and metric:
                has_published |= draw_published(axes, f"{architecture}-{augmentation}", metric)
            draw_runs(axes, seeds, column, colour=COLOURS[0], label="this run")
        # A row is as high as 20 letters are long.
        row[0].set_ylabel(textwrap.fill(titles[augmentation], 20), color=INK, fontsize=9.5)
    count_epochs(grid[0, 0])
    add_legend(figure, runs=max(map(len, histories.values())), has_published=has_published)
    return figure


def add_legend(figure: Figure, *, runs: int, has_published: bool, others: Sequence[Line2D] = ()) -> None:
    """Say what the lines of `draw_runs` and `draw_published` are, below the panels, where there are several.

    Args:
        runs: seeds of the run with the most of them.
        others: what else is drawn.
    """
    ours = "this run" if runs == 1 else f"this run: mean of {runs} seeds"
    lines = [Line2D([], [], color=COLOURS[0], linewidth=1.8, label=ours)]
    if runs > 1:
        lines.append(Line2D([], [], color=COLOURS[0], linewidth=0.7, alpha=0.6, label="each seed"))
    if has_published:
        lines.append(Line2D([], [], color=MUTED, linewidth=1.2, linestyle=DASHES, label="published"))
    lines.extend(others)
    if len(lines) > 1:
        figure.legend(handles=lines, loc="outside lower left", ncols=len(lines), fontsize=8.5)
