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


def _share_used(mask: Mask, size: tuple[int, int]) -> Tensor:
    """How much of each pixel is not hidden, from 0 to 255, at `size` (width, height): (h, w) uint8."""
    white = np.array(load_image(mask.file).convert("L")) > 0
    used = np.where(white if mask.hides == "black" else ~white, 255, 0).astype(np.uint8)
    return torch.from_numpy(np.array(Image.fromarray(used).resize(size, Image.Resampling.BOX)))


def read_mask(mask: Mask, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image are used, at `size` (width, height): (h, w) bool.

    If several pixels of the file become one, it is used only if all of them are.
    Raises `TriptychError` if the file is not a readable image, or no pixel is used.
    """
    used = _share_used(mask, size) == 255
    if not used.any():
        raise TriptychError(f"{mask.file}: this mask hides its whole image; leave the frame out instead")
    return used


def cut_out(image: Tensor, mask: Mask, size: tuple[int, int]) -> Tensor:
    """An image of this size with its hidden pixels transparent: (h, w, 3 or 4) to (h, w, 4) uint8."""
    alpha = _share_used(mask, size)
    if image.shape[-1] == 4:
        alpha = torch.minimum(alpha, image[..., 3])
    return torch.cat([image[..., :3], alpha[..., None]], dim=-1)
