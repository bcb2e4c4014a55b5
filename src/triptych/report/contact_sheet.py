"""The contact sheet of a scene: a thumbnail of each window of the film, or photograph, kept or left out."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from triptych.data.image_files import load_image
from triptych.report.figures import COLOURS, MUTED, WIDE, page_width
from triptych.report.part3 import kept_frames, spread

MOST = 80  # thumbnails, evenly chosen: more would make the page heavy
COLUMNS, FEW = 10, 4  # thumbnails side by side on the wide and on the narrow page
SIDE = 0.92  # longer side of a thumbnail, as a share of its cell
TEXT, MARGIN = 0.3, 0.03  # inches: height of the text, and around all
PIXELS = 96  # longer side of an embedded thumbnail
FADED = 0.45  # opacity of what was left out


def contact_sheet_figure(frames: pd.DataFrame, thumbnails: Path) -> Figure:
    """Thumbnails in order, with number, time and the reason of those that were left out.

    Args:
        frames: the rows of frames.csv.
        thumbnails: the folder of .jpg files named by the frame's number.
    """
    files = sorted(thumbnails.glob("*.jpg"))
    shown = [files[number] for number in spread(len(files), MOST)]
    pictures = [_small(file) for file in shown]
    tallest = max((picture.shape[0] / max(picture.shape) for picture in pictures), default=1.0)
    columns, font = (COLUMNS, 7.0) if page_width() >= WIDE else (FEW, 7.5)
    cell = page_width() / columns
    line = SIDE * cell * tallest + TEXT * font / 6
    size = page_width(), max(1, -(-len(shown) // columns)) * line + MARGIN
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    rows = frames.assign(kept=kept_frames(frames)).set_index("frame")
    for place, (file, picture) in enumerate(zip(shown, pictures, strict=True)):
        left, top = MARGIN + place % columns * cell, MARGIN + place // columns * line
        bottom = top + SIDE * cell * tallest
        _draw(axes, picture, rows.loc[int(file.stem)], left=left, bottom=bottom, cell=cell, font=font)
    axes.set(xlim=(0, size[0]), ylim=(size[1], 0))  # in inches
    return figure


def _small(file: Path) -> NDArray[np.uint8]:
    image = load_image(file).convert("RGB")
    image.thumbnail((PIXELS, PIXELS))
    return np.asarray(image)


def _draw(
    axes: Axes,
    picture: NDArray[np.uint8],
    row: pd.Series,
    *,
    left: float,
    bottom: float,
    cell: float,
    font: float,
) -> None:
    """The text of a thumbnail has lines of `font` points."""
    line = 0.11 * font / 6
    down, across = (SIDE * cell * side / max(picture.shape) for side in picture.shape[:2])
    kept = bool(row["kept"])
    extent = (left, left + across, bottom, bottom - down)
    axes.imshow(picture, extent=extent, alpha=None if kept else FADED, aspect="auto")
    if kept:
        axes.add_patch(Rectangle((left, bottom - down), across, down, fill=False, ec=COLOURS[0], lw=1.6))
    minutes, seconds = divmod(row["time"], 60)
    time = "" if pd.isna(row["time"]) else f" at {int(minutes)}:{seconds:04.1f}"
    axes.text(left, bottom + line, f"{row.name}{time}", fontsize=font, color=MUTED)
    if not kept:
        reason = str(row["why"]).split(":")[0].split(" of ")[0].removesuffix(" in the config")
        axes.text(left, bottom + 2 * line, reason, fontsize=font, color=COLOURS[1])
