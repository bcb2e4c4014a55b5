"""Small pictures in rows and columns, with titles and captions."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from triptych.report.style import INK, MUTED

LARGEST = 64  # pixels a side; more would make the page heavy
WIDTH, LEFT, TOP, GAP, LINE = 10.0, 1.5, 0.26, 0.08, 0.135  # inches; LINE is a line of a caption


@dataclass(frozen=True)
class PictureRow:
    """A title at the left, the pictures, (C, H, W, 3) uint8, and below each its caption, lines long."""

    title: str
    pictures: NDArray[np.uint8]
    captions: Sequence[str] = ()
    colours: Sequence[str] = ()

    @property
    def lines(self) -> int:
        """Lines of the longest caption."""
        return max((caption.count("\n") + 1 for caption in self.captions if caption), default=0)


def picture_grid(rows: Sequence[PictureRow], columns: Sequence[str]) -> Figure:
    """Draw the rows below the columns' titles; captions are muted where a row has no colours for them."""
    side = (WIDTH - LEFT) / len(columns) - GAP
    height = TOP + sum(side + GAP + LINE * row.lines for row in rows)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(height, 0))  # in inches
    axes.set_axis_off()
    lefts = [LEFT + GAP + number * (side + GAP) for number in range(len(columns))]
    letters = int(side / 0.075)
    for left, title in zip(lefts, columns, strict=True):
        axes.text(left, TOP - 0.08, shorten(title, letters), color=INK, fontsize=8.5)
    top = TOP
    for row in rows:
        title = textwrap.fill(row.title, 19)
        axes.text(0, top + side / 2, title, color=INK, fontsize=9.5, va="center")
        captions = row.captions or [""] * len(columns)
        colours = row.colours or [MUTED] * len(columns)
        for left, picture, caption, colour in zip(lefts, row.pictures, captions, colours, strict=True):
            extent = (left, left + side, top + side, top)
            axes.imshow(_small(picture), extent=extent, interpolation="none", aspect="auto")
            axes.text(
                left, top + side + 0.03, caption, color=colour, fontsize=7.5, va="top", linespacing=1.15
            )
        top += side + GAP + LINE * row.lines
    axes.set(xlim=(0, WIDTH), ylim=(height, 0))
    return figure


def shorten(text: str, letters: int) -> str:
    """At most so many letters, the last one an ellipsis where some are left out."""
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(image)
