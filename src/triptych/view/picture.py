"""From what rays see to the pixels and depths that the browser shows."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from triptych.radiance.composite import Rendered
from triptych.radiance.evaluate import depth_colours, to_bytes
from triptych.radiance.render import Picture
from triptych.view.viewpoint import Viewpoint

MODES = ("colour", "depth", "opacity")
FAR = 150.0  # depth of what is not there, in world units: the browser's depths end at 167
DEPTH_PIXELS = 2**18  # depth is packed as PNG, which takes its time
DEPTH_GRAIN = 1 / 400  # world units: noise below it would only be hard to pack
SOLID = 0.5  # opacity above which a ray counts as having met something


def as_picture(bands: Sequence[Rendered], size: tuple[int, int], background: Tensor) -> Picture:
    """Put rendered rows of pixels together, over the background."""
    width, height = size
    colour = torch.cat([band.over(background) for band in bands]).clamp(0, 1)
    opacity = torch.cat([band.opacity for band in bands])
    depth = torch.cat([band.depth for band in bands]) / opacity.clamp(min=1e-6)
    return Picture(colour.view(height, width, 3), opacity.view(height, width), depth.view(height, width))


def pixels_of(picture: Picture, mode: str) -> NDArray[np.uint8]:
    """What to show of a picture, (h, w, 3) uint8: one of `MODES`."""
    if mode == "depth":
        return depth_colours(picture)
    if mode == "opacity":
        return np.repeat(to_bytes(picture.opacity.clamp(0, 1))[..., None], 3, axis=-1)
    return to_bytes(picture.colour)


def planar_depth(picture: Picture, viewpoint: Viewpoint, scale: float) -> NDArray[np.float32]:
    """Depth along the optical axis in world units, (h, w) float32, by which overlays are hidden.

    Args:
        picture: its depths are distances from the camera in unit cubes.
        viewpoint: that the picture was made from.
        scale: unit cubes a world unit.

    Returns:
        At most `DEPTH_PIXELS` values, every k-th of every k-th row; `FAR` where nothing solid is seen.
    """
    height, width = picture.depth.shape
    every = max(1, int(np.ceil((height * width / DEPTH_PIXELS) ** 0.5)))
    half = np.tan(viewpoint.fov / 2)
    y = ((np.arange(height)[::every] + 0.5) * (2 / height) - 1) * half
    x = (
        ((np.arange(width)[::every] + 0.5) * (2 / width) - 1)
        * half
        * viewpoint.canvas[0]
        / viewpoint.canvas[1]
    )
    stretch = np.sqrt(1 + y[:, None] ** 2 + x**2)
    distance = picture.depth.cpu().numpy()[::every, ::every] / scale
    solid = picture.opacity.cpu().numpy()[::every, ::every] > SOLID
    depth = np.where(solid, np.round(distance / stretch / DEPTH_GRAIN) * DEPTH_GRAIN, FAR)
    return np.asarray(np.minimum(depth, FAR), dtype=np.float32)
