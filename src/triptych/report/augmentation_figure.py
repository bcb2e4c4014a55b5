"""What each augmentation does to the same images."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from triptych.report.picture_grid import PictureRow, picture_grid, shorten

LETTERS = 17  # of a caption
WHOLE = 0.995  # a label with this weight needs no words


def augmentation_figure(
    examples: Mapping[str, NDArray[np.generic]], *, titles: Mapping[str, str], classes: list[str]
) -> Figure:
    """The images as they are, then a row an augmentation.

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
    return picture_grid(rows, [names[label] for label in examples["labels"]])


def describe_label(target: NDArray[np.floating], names: list[str]) -> str:
    """The weights of a mixed label, the greatest first, a line each, the two greatest; else nothing."""
    order = np.argsort(-target, kind="stable")[:2]
    if target[order[0]] >= WHOLE:
        return ""
    return "\n".join(shorten(f"{100 * target[index]:.0f} % {names[index]}", LETTERS) for index in order)
