"""Whether the scene's box is where the photographs look: outside of it nothing is learnt."""

import logging
from dataclasses import replace

import numpy as np
import torch

from triptych.radiance.march import box_interval
from triptych.radiance.ray_sampler import RaySampler
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.normalisation import middle_of_view
from triptych.scenes.scene import Scene
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

RAYS = 8192
ENOUGH, GOOD = 0.5, 0.9  # shares of rays that cross the box: below the first is a warning; the second advised
OPENGL = "give transform_matrix OpenGL's axes (y up, z backward)"
FITTED_AABB_SCALE = 4  # of a scene with `Scene.fitted_world`
ADVISED = (1, 2, 4, 8, 16)  # in a larger box the field is coarse, so the scene is brought nearer instead


class TrainingRays:
    """A sample of the training rays of opaque pixels; cameras are in unit-cube coordinates."""

    def __init__(
        self, cameras: Cameras, sampler: RaySampler, *, near: float, generator: torch.Generator
    ) -> None:
        self.cameras, self.near = cameras, near
        self.image, self.pixels, values = sampler.sample(RAYS, generator)
        opaque = values[:, 3] > 0 if values.shape[1] == 4 else torch.ones_like(values[:, 0], dtype=torch.bool)
        if opaque.any():
            self.image, self.pixels = self.image[opaque], self.pixels[opaque]

    def crossing(self, aabb_scale: int, *, near: float | None = None, reversed_axes: bool = False) -> float:
        """Share of the rays that cross a box of this side, beginning at `near` (by default the training's).

        With `reversed_axes`, as if the poses had the axes of OpenCV, y down and z forward.
        """
        cameras = self.cameras
        if reversed_axes:
            cameras = replace(cameras, rotation=cameras.rotation * cameras.rotation.new_tensor([1, -1, -1]))
        start = self.near if near is None else near
        enter, leave = box_interval(*cameras.rays(self.image, self.pixels), aabb_scale, start)
        return float((leave > enter).float().mean())


def opencv_axes(cameras: Cameras) -> bool:
    """Whether the axes seem to be OpenCV's: all cameras are upside down and look away from each other.

    Either alone is usual: worlds without an up direction, and views outwards from the middle of a room.
    """
    rotation, position = cameras.rotation.double().cpu().numpy(), cameras.position.double().cpu().numpy()
    poses = np.tile(np.eye(4), (len(cameras), 1, 1))
    poses[:, :3, :3], poses[:, :3, 3] = rotation, position
    depth = ((middle_of_view(poses) - position) * rotation[:, :, 2]).sum(axis=1)
    return bool((rotation[:, 2, 1] > 0).all() and (depth < 0).all())


def _fitting_values(world: World) -> str:
    """The keys of a scene file for this conversion, rounded so that the scene stays where it is."""
    scale = float(f"{world.scale:.4g}")
    middle = world.from_cube(np.full(3, 0.5))
    offset = 0.5 - scale * middle  # to many digits, as the middle may be far from the origin
    numbers = ", ".join(f"{value:.4f}" for value in offset)
    return f'"aabb_scale": {FITTED_AABB_SCALE}, "scale": {scale:g}, "offset": [{numbers}]'


def check_box(scene: Scene, rays: TrainingRays) -> float:
    """The share of training rays that cross the scene's box; a warning below half, a `TriptychError` at 0."""
    share = rays.crossing(scene.aabb_scale)
    if share >= ENOUGH:
        if opencv_axes(rays.cameras):
            log.warning("radiance: all cameras are upside down and look away from each other; %s", OPENGL)
        return share
    if rays.crossing(scene.aabb_scale, reversed_axes=True) >= GOOD:
        remedy = f"the cameras look away from it: {OPENGL}"
    elif rays.crossing(scene.aabb_scale, near=0) >= GOOD:
        remedy = f"near: {rays.near:g} is beyond it; lower it"
    elif fitting := [scale for scale in ADVISED if rays.crossing(scale) >= GOOD]:
        remedy = f"aabb_scale: {fitting[0]} would do; set it for this scene"
    else:
        remedy = f"{_fitting_values(scene.fitted_world)} in its transforms.json would do"
    message = (
        f"radiance: {share:.0%} of the training rays cross the scene's box (aabb_scale {scene.aabb_scale}), "
        f"and what is outside of it is not learnt; {remedy}"
    )
    if share == 0:
        raise TriptychError(message)
    log.warning("%s", message)
    return share
