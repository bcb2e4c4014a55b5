"""The control panel of one viewer: its elements, and the values that combine several of them."""

import math

import numpy as np
import viser
from numpy.typing import NDArray

from triptych.view.camera import MODES
from triptych.view.rendering import Box
from triptych.view.scene import TrainedScene

MIN_FPS, MAX_FPS = 1, 30
AXES = ("x", "y", "z")
CROP_STEPS = 200
CROP_REACH = 1.2  # range of the crop sliders, in distances of the cameras from the scene's middle


class Panel:
    """Handles of the panel's elements."""

    def __init__(self, gui: viser.GuiApi, scene: TrainedScene, *, fps: float, fov: float) -> None:
        self._world = scene.world
        self.status = gui.add_markdown("")
        with gui.add_folder("Picture"):
            self.mode = gui.add_dropdown("Show", MODES, initial_value=MODES[0])
            self.fps = gui.add_slider(
                *("Frames/s", MIN_FPS, MAX_FPS, 1, round(min(MAX_FPS, max(MIN_FPS, fps)))),
                hint="target while the camera moves",
            )
            self.fov = gui.add_slider("View angle", 10.0, 120.0, 0.1, _degrees(fov), hint="vertical")
            self.reset = gui.add_button("Reset the view")
            self.level = gui.add_button("Level the horizon")
        with gui.add_folder("Overlays"):
            self.cameras = gui.add_checkbox("Cameras", False, hint="click one to move there")
            self.points = gui.add_checkbox("Sparse points", False, disabled=scene.cloud is None)
        with gui.add_folder("Crop", expand_by_default=False):
            self.crop = gui.add_checkbox("Only the inside of a box", False)
            self._low, self._high = _crop_range(scene)
            self.sides = [
                gui.add_multi_slider(
                    axis,
                    low,
                    high,
                    (high - low) / CROP_STEPS,
                    (low, high),
                    min_range=(high - low) / CROP_STEPS,
                    hint="a handle at its end does not crop",
                )
                for axis, low, high in zip(AXES, self._low.tolist(), self._high.tolist(), strict=True)
            ]

    def show_fov(self, fov: float) -> None:
        """Set the slider to the field of view of a camera that was moved."""
        self.fov.value = _degrees(fov)  # type: ignore[misc]  # viser hides the setter from mypy

    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Opposite corners of the crop box in world coordinates, (3,) each."""
        low, high = np.array([side.value for side in self.sides]).T
        return low, high

    def box(self) -> Box | None:
        """The crop box in the unit cube if it is on; a side whose handle is at its end is at infinity."""
        if not self.crop.value:
            return None
        low, high = self.corners()
        tolerance = (self._high - self._low) / CROP_STEPS / 2
        low = np.where(low < self._low + tolerance, -math.inf, self._world.to_cube(low))
        high = np.where(high > self._high - tolerance, math.inf, self._world.to_cube(high))
        return tuple(low.tolist()), tuple(high.tolist())


def _degrees(fov: float) -> float:
    """An angle within the slider's range and precision."""
    return min(120.0, max(10.0, round(math.degrees(fov), 1)))


def _crop_range(scene: TrainedScene) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """World corners of the sliders' range: the scene's box, but not far beyond the cameras."""
    half = scene.radiance.field.shape.aabb_scale / 2
    reach = scene.cameras.position.double().sub(0.5).abs().amax(dim=0).numpy() * CROP_REACH
    reach = np.minimum(half, np.maximum(reach, reach.max() / 2))
    return scene.world.from_cube(0.5 - reach), scene.world.from_cube(0.5 + reach)
