"""The panel of one viewer: what can be set, without what happens then."""

import math

import numpy as np
import viser
from numpy.typing import NDArray

from triptych.view.picture import MODES
from triptych.view.subject import Subject
from triptych.view.worker import Box

AXES = ("x", "y", "z")
CROP_STEPS = 200
REACH = 1.2  # of the crop box's sliders, over how far the cameras stand from the scene's middle


class Controls:
    """Handles of the panel's elements, and the values that several of them make up together."""

    def __init__(self, gui: viser.GuiApi, subject: Subject, *, fps: float, fov: float) -> None:
        self._world = subject.world
        self.status = gui.add_markdown("")
        with gui.add_folder("Picture"):
            self.mode = gui.add_dropdown("Show", MODES, initial_value=MODES[0])
            self.fps = gui.add_slider(
                "Frames/s", 1, 30, 1, round(min(30, max(1, fps))), hint="to aim for while the camera moves"
            )
            self.fov = gui.add_slider("View angle", 10.0, 120.0, 0.1, _degrees(fov), hint="vertical")
            self.level = gui.add_button("Level the horizon")
        with gui.add_folder("Overlays"):
            self.cameras = gui.add_checkbox("Cameras", False, hint="click one to see what it saw")
            self.points = gui.add_checkbox("Sparse points", False, disabled=subject.cloud is None)
        with gui.add_folder("Crop", expand_by_default=False):
            self.crop = gui.add_checkbox("Only the inside of a box", False)
            self._low, self._high = _crop_range(subject)
            self._sides = [
                gui.add_multi_slider(
                    axis,
                    low,
                    high,
                    (high - low) / CROP_STEPS,
                    (low, high),
                    min_range=(high - low) / CROP_STEPS,
                    hint="at its end, a handle lets everything through",
                )
                for axis, low, high in zip(AXES, self._low.tolist(), self._high.tolist(), strict=True)
            ]

    def show_fov(self, fov: float) -> None:
        """Let the slider follow a camera that was moved."""
        self.fov.value = _degrees(fov)  # type: ignore[misc]  # viser hides the setter from mypy

    @property
    def sides(self) -> list[viser.GuiMultiSliderHandle[float]]:
        """The crop box's sliders."""
        return self._sides

    def corners(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Opposite corners of the crop box in world coordinates, (3,) each."""
        low, high = np.array([side.value for side in self._sides]).T
        return low, high

    def box(self) -> Box | None:
        """The crop box in the unit cube if it is on; where a handle is at its end, it has no side."""
        if not self.crop.value:
            return None
        low, high = self.corners()
        reach = (self._high - self._low) / CROP_STEPS / 2
        low = np.where(low < self._low + reach, -math.inf, self._world.to_cube(low))
        high = np.where(high > self._high - reach, math.inf, self._world.to_cube(high))
        return tuple(low.tolist()), tuple(high.tolist())


def _degrees(fov: float) -> float:
    """An angle as the slider can show it."""
    return min(120.0, max(10.0, round(math.degrees(fov), 1)))


def _crop_range(subject: Subject) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Corners of where cropping is of use: the scene's box, not far beyond the cameras."""
    half = subject.scene.aabb_scale / 2
    reach = subject.scene.cameras.position.double().sub(0.5).abs().amax(dim=0).numpy() * REACH
    reach = np.minimum(half, np.maximum(reach, reach.max() / 2))
    return subject.world.from_cube(0.5 - reach), subject.world.from_cube(0.5 + reach)
