"""Small multiples of one architecture: a row an augmentation, a column a curve."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from triptych.report.curves import count_epochs, draw_published, draw_runs
from triptych.report.style import COLOURS, INK, new_figure

# column of ours, its title, published metric
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
        row[0].set_ylabel(titles[augmentation], color=INK, fontsize=9.5)
    count_epochs(grid[0, 0])
    if has_published:
        lines = {line.get_label(): line for line in grid[0, 0].get_lines() if line.get_label()[0] != "_"}
        figure.legend(lines.values(), lines.keys(), loc="outside lower left", ncols=2, fontsize=8)
    return figure
