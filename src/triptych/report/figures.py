"""The style of every figure, and curves: each seed thin, their mean thick, the published one dashed.

A figure is drawn for a page that is `WIDE` or `NARROW`: its panels stand side by side as far as they fit.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from triptych.report.charts import chart_text
from triptych.report.published import published_curve
from triptych.workflow.files import atomic_path

INK, MUTED, RULE = "#23272e", "#707780", "#dcdfe3"
# Okabe and Ito (Color Universal Design, 2008), without the pale yellow.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
DASHES = (0, (4, 2))
WIDE, NARROW = 10.0, 4.6  # inches: the width of the page on a desk and on a phone

SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    # It comes with matplotlib, so the layout is the same on every machine.
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "xtick.major.size": 3.0,
    "ytick.major.size": 0.0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a title of the config is a dollar
    "lines.solid_capstyle": "round",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    # The same numbers give the same bytes; text stays text, which can be read and searched.
    "svg.hashsalt": "triptych",
    "svg.fonttype": "none",
}


@contextmanager
def report_style(width: float = WIDE) -> Iterator[None]:
    """Draw and save figures inside this context, for a page of this width (inches)."""
    with matplotlib.rc_context({**SETTINGS, "figure.figsize": (width, width / 2)}):
        yield


def page_width() -> float:
    """The width (inches) that `report_style` was given."""
    return float(matplotlib.rcParams["figure.figsize"][0])


def columns_that_fit(wanted: int, least: float) -> int:
    """How many of the wanted columns fit side by side if each is at least so many inches wide; at least 1."""
    return max(1, min(wanted, int(page_width() / least)))


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def inch_axes(width: float, height: float) -> tuple[Figure, Axes]:
    """A figure of this size, and axes for pictures, in inches from its upper left corner."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    return figure, axes


def panel_grid(
    rows: int, columns: int, *, least: float, height: float, sharex: bool = True, sharey: bool = False
) -> tuple[Figure, NDArray[Any]]:
    """A figure as wide as the page, and its axes (rows, columns); a row too wide for it goes on below.

    `least` is the width of a panel at least, `height` that of each line of panels, in inches.
    """
    fit = columns_that_fit(columns, least)
    lines = -(-columns // fit)
    figure = new_figure(page_width(), height * rows * lines + 0.75)
    axes = figure.subplots(rows * lines, fit, squeeze=False, sharex=sharex, sharey=sharey)
    panels = axes.reshape(rows, lines * fit)
    for spare in panels[:, columns:].flat:
        spare.remove()
    return figure, panels[:, :columns]


def frame_axes(axes: Axes, *, ticks: bool = True) -> None:
    """A frame instead of a grid, for panels without curves."""
    axes.grid(visible=False)
    if not ticks:
        axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=RULE)


def shorten(text: str, letters: int = 17) -> str:
    """The text, cut to at most `letters` letters with an ellipsis as the last one."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def whole_epochs(axes: Axes) -> None:
    """Integer ticks on the horizontal axis."""
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))


def save_svg(figure: Figure, target: str | Path) -> None:
    """Write the figure atomically; without a date, so that a rerun gives the same bytes.

    The numbers behind its curves are the description in its metadata.
    """
    facts = {"Date": None, "Creator": "triptych", "Description": chart_text(figure)}
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="svg", metadata=facts)


def save_figure(draw: Callable[[], Figure], targets: str | Sequence[str]) -> None:
    """Draw and save a figure for the wide page and, if there is a second target, for the narrow one."""
    targets = [targets] if isinstance(targets, str) else targets
    for target, width in zip(targets, (WIDE, NARROW), strict=False):
        with report_style(width):
            save_svg(draw(), target)


def draw_runs(
    axes: Axes,
    histories: Sequence[pd.DataFrame],
    column: str,
    *,
    colour: str,
    label: str,
    subtract_from: float | None = None,
) -> None:
    """Draw `column` over epochs for every seed, and the mean over the epochs that all seeds have.

    `subtract_from=100` turns an error into an accuracy.
    """
    curves = [_curve(history, column) for history in histories]
    if subtract_from is not None:
        curves = [subtract_from - curve for curve in curves]
    if len(curves) > 1:
        for number, curve in enumerate(curves, 1):
            name = f"_{label}, {number} of {len(curves)}"  # not in the legend
            axes.plot(curve.index, curve, color=colour, linewidth=0.7, alpha=0.45, label=name)
    mean = _mean(curves)
    # A run of a few epochs is a few points; without markers a single one would be invisible.
    marker = "o" if len(mean) <= 12 else ""
    axes.plot(mean.index, mean, color=colour, linewidth=1.8, marker=marker, markersize=3.5, label=label)


def mean_curve(histories: Sequence[pd.DataFrame], column: str) -> "pd.Series[float]":
    """Mean of `column` over the seeds, by epoch, for the epochs that all seeds have."""
    return _mean([_curve(history, column) for history in histories])


def _curve(history: pd.DataFrame, column: str) -> "pd.Series[float]":
    return history.set_index("epoch")[column].dropna()


def _mean(curves: Sequence["pd.Series[float]"]) -> "pd.Series[float]":
    return pd.concat(curves, axis=1, join="inner").mean(axis=1)


def draw_published(
    axes: Axes, run: str, metric: str, *, label: str = "published", colour: str = MUTED
) -> bool:
    """Draw the published log of `run`; False if there is none."""
    curve = published_curve(run, metric)
    if curve is None:
        return False
    axes.plot(curve["epoch"], curve["value"], color=colour, linewidth=1.2, linestyle=DASHES, label=label)
    return True


def add_legend(figure: Figure, *, seeds: int, has_published: bool, others: Sequence[Line2D] = ()) -> None:
    """A legend of the lines of `draw_runs` and `draw_published`, and `others`, below the panels."""
    ours = "this run" if seeds == 1 else f"this run: mean of {seeds} seeds"
    lines = [Line2D([], [], color=COLOURS[0], linewidth=1.8, label=ours)]
    if seeds > 1:
        lines.append(Line2D([], [], color=COLOURS[0], linewidth=0.7, alpha=0.6, label="each seed"))
    if has_published:
        lines.append(Line2D([], [], color=MUTED, linewidth=1.2, linestyle=DASHES, label="published"))
    lines.extend(others)
    if len(lines) > 1:
        columns = columns_that_fit(len(lines), 1.9)
        figure.legend(handles=lines, loc="outside lower left", ncols=columns, fontsize=8.5)
