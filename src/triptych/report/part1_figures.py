"""Figures of part 1: the contrastive loss, nearest neighbours, accuracies, and the map of the features."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from triptych.report.figures import (
    COLOURS,
    DASHES,
    MUTED,
    columns_that_fit,
    draw_published,
    draw_runs,
    frame_axes,
    new_figure,
    page_width,
    shorten,
    whole_epochs,
)
from triptych.report.part2_confusion import draw_matrices, no_matrix
from triptych.report.part2_pictures import classes_note
from triptych.report.results import Result

MAX_LETTERS = 24  # of the name of a class
SIZE = (4.6, 3.3)  # inches; two fit side by side
DOTS = ":"
# name of ours, our title, published run
ACCURACIES = (
    ("simclr_linear_probe", "SimCLR + linear probe", "linear_probe"),
    ("supervised_resnet18", "Supervised", "supervised"),
    ("random_linear_probe", "Random encoder + linear probe", None),
)
# The colours of all figures, and four that are distinguishable from them and from each other.
CLASS_COLOURS = (*COLOURS, "#7a5c2e", "#6a4c93", "#8a8f98", "#a8b400")


def loss_figure(histories: Sequence[pd.DataFrame], *, with_published: bool) -> Figure:
    """The contrastive loss by epoch."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    if with_published:
        draw_published(axes, "simclr", "train_loss")
    draw_runs(axes, histories, "train_loss", colour=COLOURS[0], label="this run")
    axes.set(title="SimCLR: contrastive loss (NT-Xent)", xlabel="epoch", ylabel="loss (nats)")
    whole_epochs(axes)
    axes.legend(loc="upper right")
    return figure


def neighbours_figure(histories: Sequence[pd.DataFrame]) -> Figure:
    """Accuracy of nearest neighbours among training images (percent), over the minutes of the pretraining."""
    figure = new_figure(*SIZE)
    axes = figure.add_subplot()
    for number, history in enumerate(histories, 1):
        minutes = history["seconds"].cumsum() / 60
        measured = history["knn_accuracy"].notna()
        axes.plot(
            minutes[measured],
            history["knn_accuracy"][measured],
            color=COLOURS[0],
            linewidth=1.4,
            marker="o",
            markersize=3.5,
            label=f"_this run, {number} of {len(histories)}",  # not in a legend
        )
    axes.set(title="SimCLR: nearest neighbours", xlabel="minutes of pretraining", ylabel="%")
    axes.set_xlim(left=0)
    return figure


def accuracy_figure(
    histories: Mapping[str, Sequence[pd.DataFrame]], *, levels: Mapping[str, float], with_published: bool
) -> Figure:
    """Top-1 accuracy by epoch (percent), on validation images.

    Args:
        histories: by the names in `ACCURACIES`, with `validation_top1_error`.
        levels: accuracies of probes without epochs, by the same names, drawn as horizontal lines.
        with_published: draw the published curves, which are test accuracies.
    """
    figure = new_figure(page_width(), 3.6)
    axes = figure.add_subplot()
    for (name, title, run), colour in zip(ACCURACIES, COLOURS, strict=False):
        if with_published and run:
            draw_published(axes, run, "test_top1_accuracy", label=f"_{title}, published", colour=colour)
        if name in levels:
            axes.axhline(levels[name], color=colour, linewidth=1.4, linestyle=DOTS, label=title)
        elif name in histories:
            error = "validation_top1_error"
            draw_runs(axes, histories[name], error, colour=colour, label=title, subtract_from=100.0)
    if with_published:
        axes.plot([], [], color=MUTED, linewidth=1.2, linestyle=DASHES, label="published, on test images")
    axes.set(title="Top-1 accuracy on training images with labels held out", xlabel="epoch", ylabel="%")
    whole_epochs(axes)
    figure.legend(loc="outside lower left", ncols=columns_that_fit(4, 2.2), fontsize=8)
    return figure


def method_confusion_figure(methods: Mapping[str, Sequence[Result]], classes: Sequence[str]) -> Figure:
    """One panel per method, by title: its predictions of all seeds together, by class."""
    if any("test_confusion" not in result.values for results in methods.values() for result in results):
        return no_matrix(len(classes))
    panels = []
    for title, results in methods.items():
        counts = np.sum([result.values["test_confusion"] for result in results], axis=0)
        right = 100 * counts.trace() / counts.sum()
        panels.append((f"{title}: {right:.1f} % right", counts / np.maximum(counts.sum(axis=1), 1)[:, None]))
    return draw_matrices(panels, classes)


def feature_map_figure(maps: Mapping[str, pd.DataFrame], *, count: int | None = None) -> Figure:
    """One panel per map, titled by its key; columns class, x, y. Ten classes at most are drawn.

    `count` is the number of classes of the data set (None: of the maps); the figure says if some are missing.
    """
    columns = columns_that_fit(len(maps), 4.5)
    rows = -(-len(maps) // columns)
    figure = new_figure(page_width(), 4.2 * rows + 0.5)
    panels = figure.subplots(rows, columns, squeeze=False).flat
    first = next(iter(maps.values()))
    every = sorted(first["class"].astype(str).unique())
    classes = every[: len(CLASS_COLOURS)]
    for axes, (title, points) in zip(panels, maps.items(), strict=True):
        names = points["class"].astype(str)
        for name, colour in zip(classes, CLASS_COLOURS, strict=False):
            chosen = points[names == name]
            axes.scatter(chosen["x"], chosen["y"], s=7, color=colour, linewidths=0, label=name)
        axes.set_title(title)
        axes.set_aspect("equal", adjustable="datalim")
        frame_axes(axes, ticks=False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        [shorten(label, MAX_LETTERS) for label in labels],
        title=classes_note(len(classes), count or len(every)) or None,
        loc="outside lower left",
        ncols=columns_that_fit(5, 1.9),
        fontsize=8,
        markerscale=2,
    )
    return figure
