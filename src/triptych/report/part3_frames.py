"""The frames of a scene: which were kept, their sharpness, and a contact sheet of thumbnails."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from triptych.data.image_files import load_image
from triptych.report.figures import COLOURS, MUTED, WIDE, inch_axes, new_figure, page_width
from triptych.sfm.sharpness import NOT_SHARPEST

MOST = 80  # thumbnails, evenly chosen: more would make the page heavy
COLUMNS, FEW = 10, 4  # thumbnails side by side on the wide and on the narrow page
SIDE = 0.92  # longer side of a thumbnail, as a share of its cell
TEXT, MARGIN = 0.3, 0.03  # inches: height of the text, and around all
PIXELS = 96  # longer side of an embedded thumbnail
FADED = 0.45  # opacity of what was left out
SIZE = (4.6, 3.1)  # inches: the figure of the sharpness
SHOWN_THUMBNAILS, THUMBNAIL_POINTS = 6, 44  # above its curve; longer side in points
MOST_VECTORS = 2000  # marks of a curve that stay vectors: more would make the page heavy


def spread(count: int, most: int) -> list[int]:
    """At most `most` indices spread evenly over range(count), ends included."""
    if count <= most:
        return list(range(count))
    return [round(index * (count - 1) / (most - 1)) for index in range(most)]


def kept_frames(frames: pd.DataFrame) -> pd.Series:
    """The manifest's `kept` column as booleans, however it is spelt."""
    return frames["kept"].astype(str).str.lower().isin({"true", "1", "yes"})


def left_out_frames(frames: pd.DataFrame) -> str:
    """Why frames are not used, by reason: `45 less sharp than a neighbour, 7 blurry`."""
    reasons = frames["why"][~kept_frames(frames)].fillna("").astype(str)
    # A reason is a word, and details after a colon or a number.
    counts = Counter(
        "less sharp than a neighbour" if reason == NOT_SHARPEST else re.split(r":| \d", reason)[0]
        for reason in reasons
    )
    return ", ".join(f"{count} {reason}" for reason, count in counts.most_common() if reason)


def sharpness_figure(frames: pd.DataFrame, thumbnails: Path) -> Figure:
    """Sharpness over time (seconds; the frame's number where there is no time), kept frames filled.

    Args:
        frames: the rows of frames.csv.
        thumbnails: a folder of .jpg files named by the frame's number; some are shown above the curve.
    """
    figure = new_figure(*SIZE)
    grid = figure.add_gridspec(2, 1, height_ratios=(1, 4))
    axes = figure.add_subplot(grid[1])
    timed = frames["time"].notna().all()
    x, kept = frames["time" if timed else "frame"], kept_frames(frames)
    heavy = len(frames) > MOST_VECTORS
    axes.plot(x, frames["sharpness"], color=COLOURS[0], linewidth=0.8, alpha=0.4, rasterized=heavy)
    axes.scatter(
        x[kept], frames["sharpness"][kept], s=16, color=COLOURS[0], label=f"kept ({kept.sum()})",
        rasterized=heavy,
    )  # fmt: skip
    axes.scatter(
        x[~kept], frames["sharpness"][~kept], s=18, facecolors="none", edgecolors=COLOURS[1],
        linewidths=1.1, label=f"left out ({(~kept).sum()})", rasterized=heavy,
    )  # fmt: skip
    axes.set_ylim(bottom=0)
    axes.set(title="Sharpness of the frames", xlabel="seconds" if timed else "frame", ylabel="sharpness")
    _draw_thumbnails(figure.add_subplot(grid[0], sharex=axes), x[kept], frames["frame"][kept], thumbnails)
    figure.legend(loc="outside lower left", ncols=2, fontsize=8)
    return figure


def _draw_thumbnails(axes: Axes, x: pd.Series, numbers: pd.Series, folder: Path) -> None:
    axes.set_axis_off()
    for place in spread(len(numbers), SHOWN_THUMBNAILS):
        image = _small(folder / f"{numbers.iloc[place]:06d}.jpg")
        picture = OffsetImage(image, zoom=THUMBNAIL_POINTS / max(image.shape))
        axes.add_artist(AnnotationBbox(picture, (x.iloc[place], 0.5), frameon=False, pad=0))


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
    figure, axes = inch_axes(page_width(), max(1, -(-len(shown) // columns)) * line + MARGIN)
    rows = frames.assign(kept=kept_frames(frames)).set_index("frame")
    for place, (file, picture) in enumerate(zip(shown, pictures, strict=True)):
        left, top = MARGIN + place % columns * cell, MARGIN + place // columns * line
        bottom = top + SIDE * cell * tallest
        _draw(axes, picture, rows.loc[int(file.stem)], left=left, bottom=bottom, cell=cell, font=font)
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
