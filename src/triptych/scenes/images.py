"""The pixels of a scene's images and masks, at the size in use."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from triptych.data.image_files import image_size, load_image, to_8_bits
from triptych.scenes.scene_files import Mask
from triptych.workflow.errors import TriptychError


def read_image(file: Path, size: tuple[int, int]) -> Tensor:
    """One image at `size` (width, height), area-averaged: (h, w, 3 or 4) uint8; a `TriptychError` if none."""
    image = to_8_bits(load_image(file, remedy="extract the frames again"))
    if image.size != size:
        image = image.resize(size, Image.Resampling.BOX)
    return torch.from_numpy(np.array(image))


def check_mask(mask: Mask, size: tuple[int, int]) -> None:
    """Raise `TriptychError` unless a mask has the size of its image."""
    width, height = image_size(mask.file)
    if (width, height) != size:
        raise TriptychError(
            f"{mask.file}: this mask is {width}x{height} but its image is {size[0]}x{size[1]}; "
            "give it the image's size"
        )


def read_mask(mask: Mask, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image are used, at `size` (width, height): (h, w) bool.

    If several pixels of the file become one, it is used only if all of them are.
    Raises `TriptychError` if the file is not a readable image, or no pixel is used.
    """
    white = np.array(load_image(mask.file).convert("L")) > 0
    used = white if mask.hides == "black" else ~white
    if used.shape[::-1] != size:
        grey = Image.fromarray(np.where(used, 255, 0).astype(np.uint8))
        used = np.array(grey.resize(size, Image.Resampling.BOX)) == 255
    if not used.any():
        raise TriptychError(f"{mask.file}: this mask hides its whole image; leave the frame out instead")
    return torch.from_numpy(used)
