"""Where the class token looks: test images, and below them what each training's attention leaves bright."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from triptych.report.picture_grid import PictureRow, picture_grid, shorten
from triptych.report.style import COLOURS, MUTED

DARKEST = 0.12  # brightness that is left where no attention goes
LETTERS = 17  # of a caption


def attention_figure(
    rollouts: Mapping[str, NDArray[np.generic]], *, titles: Mapping[str, str], classes: list[str]
) -> Figure:
    """The images, then a row an augmentation with the class that its network predicts.

    Args:
        rollouts: what `triptych.classify.attention_maps` makes.
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
                np.stack([dim(image, map_) for image, map_ in zip(images, maps, strict=True)]),
                [
                    shorten(f"{'' if hit else '✗ '}{names[index]}", LETTERS)
                    for hit, index in zip(right, predicted, strict=True)
                ],
                [MUTED if hit else COLOURS[1] for hit in right],
            )
        )
    return picture_grid(rows, [names[label] for label in labels])


def dim(image: NDArray[np.uint8], attention: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Darken an image, (H, W, 3), where a map of patches, (h, w), is small; its ends are dark and bright."""
    low, high = float(attention.min()), float(attention.max())
    # Where the map is the same everywhere, nothing is darker than the rest.
    share = (attention - low) / (high - low) if high > low else np.ones_like(attention)
    height, width = image.shape[:2]
    smooth = Image.fromarray(share.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
    bright = DARKEST + (1 - DARKEST) * np.clip(np.asarray(smooth), 0, 1)
    return np.rint(image * bright[..., None]).astype(np.uint8)
