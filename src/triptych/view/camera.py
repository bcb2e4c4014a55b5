"""The viewer's camera: its rays, its pose in the browser, and the pixels sent to the browser.

The browser's world coordinates are those of transforms.json: +z is up, the scene's middle is near the origin.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import viser
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch import Tensor

from triptych.radiance.evaluate import depth_colours, to_bytes
from triptych.radiance.render import RenderedImage
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World

MAX_FOV = math.radians(120)  # a wider view does not fit on a plane
MAX_CANVAS = 16_384  # pixels a side, more than any screen has
MAX_DISTANCE = 1e6  # world units from the origin
MODES = ("colour", "depth", "opacity")
OPAQUE = 0.5  # opacity above which a ray has hit a surface
FAR = 150.0  # depth of empty pixels, in world units: the browser's depths end at 167
MAX_DEPTH_PIXELS = 2**18  # depth is sent as PNG, which is slow to compress
DEPTH_QUANTUM = 1 / 400  # world units: finer depth is noise, and compresses badly


@dataclass(frozen=True)
class ViewCamera:
    """A pinhole camera without distortion, of any resolution."""

    rotation: NDArray[np.float64]  # (3, 3) camera axes (OpenCV: x right, y down, z forward) as columns
    position: NDArray[np.float64]  # (3,) in unit-cube coordinates
    fov: float  # vertical field of view in radians
    canvas: tuple[int, int]  # width and height of the browser's canvas, in pixels

    @classmethod
    def of_browser(cls, camera: viser.CameraHandle, world: World) -> "ViewCamera":
        """The browser's camera. Raises `ValueError` if what it sent is no camera; browsers never do that."""
        position, fov = np.asarray(camera.position, dtype=np.float64), float(camera.fov)
        quaternion = np.asarray(camera.wxyz, dtype=np.float64)
        if position.shape != (3,) or not (np.abs(position) < MAX_DISTANCE).all() or quaternion.shape != (4,):
            raise ValueError("not a place in the scene")
        if not np.isfinite(quaternion).all() or not 0 < fov < math.pi:
            raise ValueError("not a direction of view")
        width, height = (
            min(MAX_CANVAS, max(1, int(side))) for side in (camera.image_width, camera.image_height)
        )
        return cls(
            rotation=Rotation.from_quat(quaternion, scalar_first=True).as_matrix(),
            position=world.to_cube(position),
            fov=min(fov, MAX_FOV),
            canvas=(width, height),
        )

    @classmethod
    def of_scene(cls, cameras: Cameras, index: int) -> "ViewCamera":
        """One of a scene's cameras, without its distortion."""
        width, height = cameras.size[index].tolist()
        fov = 2 * math.atan(height / 2 / float(cameras.focal[index, 1]))
        return cls(
            rotation=cameras.rotation[index].cpu().double().numpy(),
            position=cameras.position[index].cpu().double().numpy(),
            fov=min(fov, MAX_FOV),
            canvas=(width, height),
        )

    @property
    def aspect(self) -> float:
        """Width of the canvas over its height."""
        return self.canvas[0] / self.canvas[1]

    def rays(
        self, size: tuple[int, int], rows: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Rays through the pixel centres of some rows of a picture, row by row.

        `size` is that of the whole picture, which fills the canvas; `rows` are the first row and the one
        after the last. Returns origins and unit directions in the unit cube, (n, 3) float32 each.
        """
        width, height = size
        half = math.tan(self.fov / 2)
        x = ((torch.arange(width, device=device) + 0.5) * (2 / width) - 1) * (half * self.aspect)
        y = ((torch.arange(*rows, device=device) + 0.5) * (2 / height) - 1) * half
        axes = torch.from_numpy(self.rotation).float().to(device).unbind(dim=1)
        directions = y[:, None, None] * axes[1] + (x[:, None] * axes[0] + axes[2])
        directions = (directions / directions.norm(dim=-1, keepdim=True)).view(-1, 3)
        origin = torch.from_numpy(self.position).float().to(device)
        return origin.expand(len(directions), 3).contiguous(), directions


@dataclass(frozen=True)
class Look:
    """A place (3,) of the browser's camera, and the point that it looks at and orbits, in the world."""

    position: NDArray[np.float64]
    target: NDArray[np.float64]
    up: NDArray[np.float64]  # the direction that is up in the picture
    fov: float  # vertical field of view in radians

    @classmethod
    def along(cls, view: ViewCamera, world: World, *, distance: float) -> "Look":
        """A camera's view; it orbits the point `distance` unit cubes ahead."""
        position = world.from_cube(view.position)
        target = position + view.rotation[:, 2] * distance / world.scale
        return cls(position, target, -view.rotation[:, 1], view.fov)

    def move(self, client: viser.ClientHandle) -> None:
        """Move a browser's camera there."""
        with client.atomic():
            client.camera.position = self.position
            client.camera.look_at = self.target
            client.camera.up_direction = self.up
            client.camera.fov = self.fov


def picture_pixels(picture: RenderedImage, mode: str) -> NDArray[np.uint8]:
    """A picture's pixels in one of `MODES`, (h, w, 3) uint8."""
    if mode == "depth":
        return depth_colours(picture)
    if mode == "opacity":
        return np.repeat(to_bytes(picture.opacity.clamp(0, 1))[..., None], 3, axis=-1)
    return to_bytes(picture.colour)


def planar_depth(picture: RenderedImage, view: ViewCamera, scale: float) -> NDArray[np.float32]:
    """Depth along the optical axis in world units, (h, w) float32, by which the browser hides overlays.

    `scale` is in unit cubes per world unit. Returns at most `MAX_DEPTH_PIXELS` values, every k-th of every
    k-th row; `FAR` where nothing is opaque.
    """
    height, width = picture.depth.shape
    every = max(1, int(np.ceil((height * width / MAX_DEPTH_PIXELS) ** 0.5)))
    half = np.tan(view.fov / 2)
    y = ((np.arange(height)[::every] + 0.5) * (2 / height) - 1) * half
    x = ((np.arange(width)[::every] + 0.5) * (2 / width) - 1) * half * view.aspect
    distance_per_depth = np.sqrt(1 + y[:, None] ** 2 + x**2)
    distance = picture.depth.cpu().numpy()[::every, ::every] / scale
    opaque = picture.opacity.cpu().numpy()[::every, ::every] > OPAQUE
    depth = np.where(opaque, np.round(distance / distance_per_depth / DEPTH_QUANTUM) * DEPTH_QUANTUM, FAR)
    return np.asarray(np.minimum(depth, FAR), dtype=np.float32)
