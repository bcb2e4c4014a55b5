"""Step lengths along a ray: constant near the camera, proportional to distance beyond."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

MIN_STEP = math.sqrt(3) / 1024  # 1024 steps across the unit cube's diagonal (Müller et al. 2022, appendix E)
CONE_ANGLE = 1 / 256
PIXELS_PER_STEP = 5.0
MAX_STEP_SCALE = 8.0


def step_scale_for(focal: Tensor) -> float:
    """Factor on all step lengths for images with these focal lengths, in pixels.

    Steps much shorter than a pixel is wide take time but add no detail, so small images get longer steps.
    """
    return float((PIXELS_PER_STEP / (focal.mean() * CONE_ANGLE)).clamp(1.0, MAX_STEP_SCALE))


@dataclass(frozen=True)
class StepSchedule:
    """A smooth map between the number of steps taken and the distance reached.

    The step at distance t is max(length, cone * t): `number * length` up to number 1 / cone, exponential
    growth from there.
    """

    length: float  # shortest step, in unit cubes
    cone: float  # growth of the step with distance; 0 keeps all steps equal

    @classmethod
    def for_scene(cls, aabb_scale: int, *, step_scale: float = 1.0) -> "StepSchedule":
        """Equal steps inside a unit cube; steps that grow with distance in larger scenes."""
        return cls(MIN_STEP * step_scale, CONE_ANGLE * step_scale if aabb_scale > 1 else 0.0)

    def distance(self, number: Tensor) -> Tensor:
        """Distance reached after (fractional) step `number`."""
        linear = number * self.length
        if self.cone == 0:
            return linear
        bend = 1 / self.cone
        grown = self.length * bend * torch.exp(self.cone * (number - bend).clamp(min=0))
        return torch.where(number < bend, linear, grown)

    def number(self, distance: Tensor) -> Tensor:
        """The (fractional) number of the step at a distance: the inverse of `distance`."""
        linear = distance / self.length
        if self.cone == 0:
            return linear
        bend = 1 / self.cone
        return torch.where(linear < bend, linear, bend + torch.log((linear / bend).clamp(min=1)) / self.cone)
