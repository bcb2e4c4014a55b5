"""The house style of every figure: quiet axes, colours that colour-blind readers can tell apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from triptych.workflow.files import atomic_path

INK, MUTED, RULE = "#23272e", "#707780", "#dcdfe3"
# Okabe and Ito's colours (Color Universal Design, 2008), the pale yellow left out.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")

SETTINGS: dict[Any, Any] = {
    "font.family": "sans-serif",
    # Matplotlib brings it along: the layout is the same wherever the figure is drawn.
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
    # The same numbers give the same bytes; text stays text, for readers and for search.
    "svg.hashsalt": "triptych",
    "svg.fonttype": "none",
}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save figures inside this context."""
    with matplotlib.rc_context(SETTINGS):
        yield


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), layout="constrained")


def label_axes(axes: Axes, *, title: str = "", x: str = "", y: str = "") -> None:
    """Title at the left, names of both axes."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def save_svg(figure: Figure, target: str | Path) -> None:
    """Write the figure atomically; without a date, so that a rerun gives the same bytes."""
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "triptych"})
