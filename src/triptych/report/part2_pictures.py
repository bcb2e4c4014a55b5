"""Part 2's pictures: what each augmentation does to the same images, and what a transformer attends to."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from triptych.report.figures import COLOURS, INK, MUTED, WIDE, inch_axes, page_width, shorten

LARGEST = 64  # pixels a side; more would make the page heavy
LEFT, TOP, GAP, LINE = 1.5, 0.26, 0.08, 0.135  # inches; LINE is a line of a caption
FEW = 4  # pictures in a row of the narrow page
PURE = 0.995  # a label with this weight is not mixed
DARKEST = 0.12  # brightness of patches without attention


@dataclass(frozen=True)
class PictureRow:
    """A title at the left, pictures, (C, H, W, 3) uint8, and captions below them, muted without `colours`."""

    title: str
    pictures: NDArray[np.uint8]
    captions: Sequence[str] = ()
    colours: Sequence[str] = ()

    @property
    def lines(self) -> int:
        """Lines of the longest caption."""
        return max((caption.count("\n") + 1 for caption in self.captions if caption), default=0)


def picture_grid(rows: Sequence[PictureRow], columns: Sequence[str], *, note: str = "") -> Figure:
    """Draw the rows below the columns' titles, and a note below them.

    On the narrow page titles stand above their rows, which have the first `FEW` pictures.
    """
    width = page_width()
    above, indent = (0.0, LEFT) if width >= WIDE else (0.24, -GAP)
    columns = columns if width >= WIDE else columns[:FEW]
    side = (width - indent) / len(columns) - GAP
    height = TOP + sum(above + side + GAP + LINE * row.lines for row in rows) + (2 * LINE if note else 0)
    figure, axes = inch_axes(width, height)
    lefts = [indent + GAP + number * (side + GAP) for number in range(len(columns))]
    letters = int(side / 0.075)
    for left, title in zip(lefts, columns, strict=True):
        axes.text(left, TOP - 0.08, shorten(title, letters), color=INK, fontsize=8.5)
    top = TOP
    for row in rows:
        title = row.title if above else textwrap.fill(row.title, 19)
        axes.text(0, top + (above or side) / 2, title, color=INK, fontsize=9.5, va="center")
        top += above
        captions = row.captions or [""] * len(columns)
        colours = row.colours or [MUTED] * len(columns)
        for left, picture, caption, colour in zip(lefts, row.pictures, captions, colours, strict=False):
            extent = (left, left + side, top + side, top)
            axes.imshow(_small(picture), extent=extent, interpolation="none", aspect="auto")
            axes.text(
                left, top + side + 0.03, caption, color=colour, fontsize=7.5, va="top", linespacing=1.15
            )
        top += side + GAP + LINE * row.lines
    axes.text(0, top + LINE, note, color=MUTED, fontsize=8.5, va="center")
    return figure


def classes_note(shown: int, count: int) -> str:
    """Says that only some classes are shown; empty if all are."""
    return f"{shown} of {count} classes are shown" if shown < count else ""


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    image.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return np.asarray(image)


def augmentation_figure(
    examples: Mapping[str, NDArray[np.generic]], *, titles: Mapping[str, str], classes: Sequence[str]
) -> Figure:
    """The images as they are, then a row per augmentation with the weights of mixed labels.

    Args:
        examples: what `triptych.classify.augmentation_examples` makes.
        titles: of the augmentations, in the examples' order.
        classes: names of all classes.
    """
    names = [name.replace("_", " ") for name in classes]
    rows = [PictureRow("As it is", examples["original"].astype(np.uint8))]
    for title, pictures, targets in zip(
        titles.values(), examples["images"], examples["targets"], strict=True
    ):
        captions = [describe_label(target, names) for target in targets]
        rows.append(PictureRow(title, pictures.astype(np.uint8), captions))
    labels = examples["labels"]
    note = classes_note(len(np.unique(labels)), len(classes))
    return picture_grid(rows, [names[label] for label in labels], note=note)


def describe_label(target: NDArray[np.floating], names: Sequence[str]) -> str:
    """The two largest weights of a mixed label, one per line; empty for the label of a single class."""
    order = np.argsort(-target, kind="stable")[:2]
    if target[order[0]] >= PURE:
        return ""
    return "\n".join(shorten(f"{100 * target[index]:.0f} % {names[index]}") for index in order)


def attention_figure(
    rollouts: Mapping[str, NDArray[np.generic]], *, titles: Mapping[str, str], classes: Sequence[str]
) -> Figure:
    """Test images, then a row per augmentation: bright is what the class token attends to.

    Args:
        rollouts: what `triptych.classify.attention_rollout` makes.
        titles: of the augmentations, in the rollouts' order.
        classes: names of all classes.
    """
    names = [name.replace("_", " ") for name in classes]
    images, labels = rollouts["images"].astype(np.uint8), rollouts["labels"]
    rows = [PictureRow("Test images", images)]
    for title, maps, predicted in zip(titles.values(), rollouts["maps"], rollouts["predicted"], strict=True):
        right = predicted == labels
        rows.append(
            PictureRow(
                title,
                np.stack([dim(image, attention) for image, attention in zip(images, maps, strict=True)]),
                [
                    shorten(f"{'' if hit else '✗ '}{names[index]}")
                    for hit, index in zip(right, predicted, strict=True)
                ],
                [MUTED if hit else COLOURS[1] for hit in right],
            )
        )
    note = classes_note(len(np.unique(labels)), len(classes))
    return picture_grid(rows, [names[label] for label in labels], note=note)


def dim(image: NDArray[np.uint8], attention: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Darken an image, (H, W, 3), where a map of patches, (h, w), is low within its range."""
    low, high = float(attention.min()), float(attention.max())
    # A uniform map leaves the whole image bright.
    share = (attention - low) / (high - low) if high > low else np.ones_like(attention)
    height, width = image.shape[:2]
    smooth = Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    bright = DARKEST + (1 - DARKEST) * np.clip(np.asarray(smooth), 0, 1)
    return np.rint(image * bright[..., None]).astype(np.uint8)
