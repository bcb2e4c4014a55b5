"""Curves of several seeds: each thin, their mean thick, the published one dashed."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from triptych.report.published import published_curve
from triptych.report.style import MUTED

DASHES = (0, (4, 2))


def draw_runs(
    axes: Axes,
    histories: Sequence[pd.DataFrame],
    column: str,
    *,
    colour: str,
    label: str,
    transform: float | None = None,
) -> None:
    """Draw `column` over epochs for every seed, and the mean over the epochs that all seeds have.

    `transform=c` draws c - value, which turns an error into an accuracy for c = 100.
    """
    curves = [_curve(history, column, transform) for history in histories]
    if len(curves) > 1:
        for curve in curves:
            axes.plot(curve.index, curve, color=colour, linewidth=0.7, alpha=0.45)
    mean = _mean(curves)
    # A run of a few epochs is a few points; without markers a single one would be invisible.
    marker = "o" if len(mean) <= 12 else ""
    axes.plot(mean.index, mean, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=label)


def mean_curve(histories: Sequence[pd.DataFrame], column: str) -> "pd.Series[float]":
    """Mean of `column` over the seeds, by epoch, for the epochs that all seeds have."""
    return _mean([_curve(history, column, None) for history in histories])


def _mean(curves: Sequence["pd.Series[float]"]) -> "pd.Series[float]":
    """Mean of series by epoch, for the epochs that all of them have."""
    return pd.concat(curves, axis=1, join="inner").mean(axis=1)


def _curve(history: pd.DataFrame, column: str, transform: float | None) -> "pd.Series[float]":
    rows = history[["epoch", column]].dropna()
    values = rows[column] if transform is None else transform - rows[column]
    return pd.Series(values.to_numpy(), index=rows["epoch"].to_numpy())


def draw_published(
    axes: Axes, run: str, metric: str, *, label: str = "published", colour: str = MUTED
) -> bool:
    """Draw the published log of `run`, if there is one; says whether it did."""
    curve = published_curve(run, metric)
    if curve is None:
        return False
    axes.plot(curve["epoch"], curve["value"], color=colour, linewidth=1.2, linestyle=DASHES, label=label)
    return True


def count_epochs(axes: Axes) -> None:
    """Whole epochs on the horizontal axis."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
