"""Part 2's overfitting: both losses by augmentation, and the error by share of the training images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from triptych.report.figures import (
    COLOURS,
    DASHES,
    MUTED,
    columns_that_fit,
    mean_curve,
    panel_grid,
    whole_epochs,
)
from triptych.report.part2_grid import NOT_RUN, Cell, Grid, read_histories
from triptych.report.results import Result, read_result, read_results
from triptych.report.sections import Answer
from triptych.report.statistics import difference_of, estimate

CLEAN, AUGMENTED = "clean_train_loss", "train_loss"
VALIDATION = "validation_loss"


@dataclass(frozen=True)
class Overfitting:
    """Histories of the grid's cells, and the baselines' results by share of the training images.

    Attributes:
        histories: of all seeds by cell.
        shares: results of all seeds by architecture and percentage of the training images.
    """

    grid: Grid
    histories: Mapping[Cell, Sequence[pd.DataFrame]]
    shares: Mapping[str, Mapping[float, Sequence[Result]]] = field(default_factory=dict)

    @property
    def train_loss(self) -> str:
        """The column of the train loss: of the images as they are, or, in older histories, as augmented."""
        every = [history for seeds in self.histories.values() for history in seeds]
        return CLEAN if all(CLEAN in history for history in every) else AUGMENTED


def read_overfitting(
    grid: Grid, subsets: Sequence[str | Path] = (), datasets: Sequence[str | Path] = ()
) -> Overfitting:
    """Read the histories beside the metrics of a grid, and results on parts of its training images.

    Args:
        grid: the grid; the baselines on all images are among its cells.
        subsets: `…/{dataset}/{architecture}/seed{seed}/metrics.json` of each result on a part.
        datasets: `dataset.json` of each part.
    """
    total = grid.dataset.values["counts"]["train"]
    counts = {Path(path).parent.name: read_result(path).values["counts"]["train"] for path in datasets}
    shares: dict[str, dict[float, list[Result]]] = {}
    for result in read_results(subsets):
        dataset, architecture = result.path.parts[-4:-2]
        found = shares.setdefault(architecture, {})
        found.setdefault(100 * counts[dataset] / total, []).append(result)
    for architecture in shares:
        if whole := grid.cells.get((architecture, "baseline")):
            shares[architecture][100.0] = list(whole)
    by_share = {name: dict(sorted(found.items())) for name, found in shares.items()}
    return Overfitting(grid, read_histories(grid), by_share)


def overfitting_figure(found: Overfitting) -> Figure:
    """A panel per architecture with both losses, and one with the errors by share of the images."""
    grid, train = found.grid, found.train_loss
    rows = [name for name in grid.architectures if any(cell[0] == name for cell in found.histories)]
    panels = len(rows) + bool(found.shares)
    figure, (axes,) = panel_grid(1, panels, least=3.2, height=2.65, sharex=False)
    kind = "training images as they are" if train == CLEAN else "augmented training images"
    for panel, row in zip(axes, rows, strict=False):
        for colour, (column, title) in zip(COLOURS, grid.augmentations.items(), strict=False):
            if (row, column) in found.histories:
                for name, style, images in ((train, DASHES, kind), (VALIDATION, "-", "validation images")):
                    curve = mean_curve(found.histories[row, column], name)
                    label = f"_{title}, {images}"  # not in the legend
                    panel.plot(curve.index, curve, color=colour, linestyle=style, linewidth=1.5, label=label)
        panel.set(title=f"{grid.architectures[row]}: loss (nats)", xlabel="epoch")
        whole_epochs(panel)
    if found.shares:
        _draw_shares(axes[-1], found)
    lines = [
        Line2D([], [], color=colour, linewidth=1.5, label=title)
        for colour, (column, title) in zip(COLOURS, grid.augmentations.items(), strict=False)
        if any(cell[1] == column for cell in found.histories)
    ]
    lines += [
        Line2D([], [], color=MUTED, linewidth=1.5, label="validation images"),
        Line2D([], [], color=MUTED, linewidth=1.5, linestyle=DASHES, label=kind),
    ]
    figure.legend(
        handles=lines, loc="outside lower left", ncols=columns_that_fit(len(lines), 1.65), fontsize=8.5
    )
    return figure


def _draw_shares(axes: Axes, found: Overfitting) -> None:
    for marker, (name, by_share) in zip("osD^v", found.shares.items(), strict=False):
        means = [estimate(results, "test_top1_error").mean for results in by_share.values()]
        axes.plot(list(by_share), means, color=COLOURS[0], marker=marker, linewidth=1.5, markersize=5,
                  label=f"_{found.grid.architectures.get(name, name)}")  # fmt: skip
        axes.annotate(
            f" {found.grid.architectures.get(name, name)}", (list(by_share)[-1], means[-1]), color=MUTED
        )
    axes.set_xscale("log")
    ticks = sorted({share for by_share in found.shares.values() for share in by_share})
    axes.set_xticks(ticks, [f"{tick:g} %" for tick in ticks])
    axes.minorticks_off()
    axes.set(title="Baselines: test top-1 error (%)", xlabel="share of the training images, as many steps")


def overfitting_answer(found: Overfitting | None) -> Answer:
    """Whether overfitting explains why the ViT's error is higher than ResNet18's.

    It does if the ViT fits the training images at least as well. It does not if its loss is higher on these,
    too: then it fits worse. Tested with the baselines, paired by seed.
    """
    claim = "The ViT is worse because it overfits."
    cells = [(row, "baseline") for row in ("resnet18", "vit")]
    if found is None or not all(cell in found.histories for cell in cells):
        return Answer(claim, "The baselines of both architectures have not been run.", NOT_RUN)
    train = found.train_loss
    resnet, vit = ({name: _last(found, cell, name) for name in (train, VALIDATION)} for cell in cells)
    difference = difference_of(
        [loss - resnet[train][seed] for seed, loss in vit[train].items() if seed in resnet[train]]
    )
    verdict = f"undecided at this number of seeds ({difference.n})"
    if difference.low is not None and difference.high is not None:
        verdict = "refuted" if difference.low > 0 else "confirmed" if difference.high < 0 else verdict
    kind = "training images as they are" if train == CLEAN else "augmented training images"
    means = [f"{fmean(row[name].values()):.2f}" for name in (train, VALIDATION) for row in (resnet, vit)]
    text = (
        f"Baselines, last epoch: loss on {kind} {means[0]} (ResNet18) and {means[1]} (ViT), on validation "
        f"images {means[2]} and {means[3]} nats; train loss of the ViT minus that of ResNet18: {difference}."
    )
    return Answer(claim, f"{text} {shares_sentence(found)}".strip(), verdict)


def _last(found: Overfitting, cell: Cell, column: str) -> dict[int, float]:
    """The last value of a history's column by seed; NaN if the run diverged in its first epoch."""
    return {
        result.seed: float(history[column].ffill().iloc[-1])
        for result, history in zip(found.grid.cells[cell], found.histories[cell], strict=True)
    }


def shares_sentence(found: Overfitting) -> str:
    """The test errors of the baselines by share of the training images."""
    sentences = []
    for name, by_share in found.shares.items():
        errors = ", ".join(
            f"{estimate(results, 'test_top1_error').mean:.1f} % with {share:g} %"
            for share, results in by_share.items()
        )
        sentences.append(
            f"{found.grid.architectures.get(name, name)}, test error by share of images: {errors}."
        )
    return " ".join(sentences)
