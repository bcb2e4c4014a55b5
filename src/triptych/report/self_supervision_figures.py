"""Figures of the self-supervision part."""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from triptych.report.curves import DASHES, count_epochs, draw_published, draw_runs
from triptych.report.style import COLOURS, MUTED, label_axes, new_figure

SIZE = (4.6, 3.3)  # inches: two stand side by side
WIDE = (9.2, 3.6)  # alone
DOTS = (0, (1, 1.2))
# name of ours, our title, published run
ACCURACIES = (
    ("simclr_linear_probe", "SimCLR + linear probe", "linear_probe"),
    ("supervised_resnet18", "Supervised", "supervised"),
    ("random_linear_probe", "Random encoder + linear probe", None),
)


def loss_figure(histories: Sequence[pd.DataFrame], *, with_published: bool) -> Figure:
    """The contrastive loss by epoch."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    if with_published:
        draw_published(axes, "simclr", "train_loss")
    draw_runs(axes, histories, "train_loss", colour=COLOURS[0], label="this run")
    label_axes(axes, title="SimCLR: contrastive loss (NT-Xent)", x="epoch", y="loss (nats)")
    count_epochs(axes)
    axes.legend(loc="upper right")
    return figure


def accuracy_figure(
    histories: Mapping[str, Sequence[pd.DataFrame]],
    *,
    levels: Mapping[str, float],
    with_published: bool,
) -> Figure:
    """Top-1 accuracy by epoch (percent), on images that the curve's training did not fit.

    Args:
        histories: by the names in `ACCURACIES`, with `validation_top1_error`.
        levels: accuracies of what was fitted without epochs, likewise: lines across the figure.
        with_published: draw the published curves, which are test accuracies.
    """
    figure = new_figure(*WIDE)
    axes = figure.add_subplot()
    for (name, title, run), colour in zip(ACCURACIES, COLOURS, strict=False):
        if with_published and run:
            draw_published(axes, run, "test_top1_accuracy", label="_", colour=colour)
        if name in levels:
            axes.axhline(levels[name], color=colour, linewidth=1.4, linestyle=DOTS, label=title)
        else:
            draw_runs(
                axes, histories[name], "validation_top1_error", colour=colour, label=title, transform=100.0
            )
    if with_published:
        axes.plot([], [], color=MUTED, linewidth=1.2, linestyle=DASHES, label="published, on test images")
    label_axes(axes, title="Top-1 accuracy on images held out", x="epoch", y="%")
    count_epochs(axes)
    figure.legend(loc="outside lower left", ncols=4, fontsize=8)
    return figure


def neighbours_figure(histories: Sequence[pd.DataFrame]) -> Figure:
    """What nearest neighbours say of the encoder (percent), over the minutes of its pretraining."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    for history in histories:
        minutes = history["seconds"].cumsum() / 60
        looked = history["knn_accuracy"].notna()
        axes.plot(
            minutes[looked],
            history["knn_accuracy"][looked],
            color=COLOURS[0],
            linewidth=1.4,
            marker="o",
            markersize=3.5,
        )
    label_axes(axes, title="SimCLR: nearest neighbours", x="minutes of pretraining", y="%")
    axes.set_xlim(left=0)
    return figure
