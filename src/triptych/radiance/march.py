"""Sample positions along rays, only in cells that the occupancy grid marks as occupied."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import StepSchedule

SEGMENT = 16  # steps that are skipped at once in empty space


@dataclass(frozen=True)
class Samples:
    """Samples of all rays, packed: ordered by ray, then by distance."""

    ray_index: Tensor  # (n,) int64, ascending: the ray of each sample
    distance: Tensor  # (n,) distance from the ray's origin
    step_length: Tensor  # (n,) length of the step that the sample stands for

    def __len__(self) -> int:
        return len(self.ray_index)

    def select(self, kept: Tensor) -> "Samples":
        """The samples selected by `kept`, a (n,) bool mask or ascending positions."""
        return Samples(self.ray_index[kept], self.distance[kept], self.step_length[kept])

    def positions(self, origins: Tensor, directions: Tensor) -> Tensor:
        """Sample positions (n, 3) on the rays."""
        return origins[self.ray_index] + self.distance[:, None] * directions[self.ray_index]


def box_interval(
    origins: Tensor, directions: Tensor, aabb_scale: float, near: float
) -> tuple[Tensor, Tensor]:
    """Distances (n,) at which rays enter (or `near`, if later) and leave the scene's box.

    Rays that miss the box leave before they enter. Slab method (Kay and Kajiya 1986); a
    direction parallel to a face divides by zero, and the infinities compare as they should.
    """
    low, high = 0.5 - aabb_scale / 2, 0.5 + aabb_scale / 2
    inverse = 1 / torch.where(directions == 0, torch.full_like(directions, 1e-20), directions)
    first, second = (low - origins) * inverse, (high - origins) * inverse
    enter = torch.minimum(first, second).amax(dim=-1).clamp(min=near)
    leave = torch.maximum(first, second).amin(dim=-1)
    return enter, leave


def march(
    origins: Tensor,
    directions: Tensor,
    jitter: Tensor,
    *,
    occupancy: OccupancyGrid,
    schedule: StepSchedule,
    aabb_scale: int,
    near: float,
) -> Samples:
    """Samples on rays, at the middle of steps, inside the box, beyond `near`, where space is not empty.

    A dilated grid first skips empty segments of 16 steps; then single steps are tested. Directions (rays, 3)
    have unit length; `jitter` (rays,) in [0, 1) shifts each ray's steps.
    """
    enter, leave = box_interval(origins, directions, aabb_scale, near)
    first = schedule.number(enter)
    count = (schedule.number(leave.clamp(min=near)) - first).clamp(min=0)
    count = torch.where(leave > enter, count, torch.zeros_like(count))
    segments = int((count.max() / SEGMENT).ceil()) if len(count) else 0

    starts = torch.arange(segments, device=origins.device) * SEGMENT
    ray_index, segment = (starts < count[:, None]).nonzero(as_tuple=True)
    begin = first[ray_index] + starts[segment]
    low, high = schedule.distance(begin), schedule.distance(begin + SEGMENT)
    middle, reach = (low + high) / 2, (high - low) / 2
    centres = origins[ray_index] + middle[:, None] * directions[ray_index]
    kept = occupancy.may_be_occupied(centres, reach)
    ray_index, begin = ray_index[kept], begin[kept]

    numbers = begin[:, None] + (torch.arange(SEGMENT, device=origins.device) + jitter[ray_index, None])
    ray_index = ray_index[:, None].expand(-1, SEGMENT).reshape(-1)
    distance = schedule.distance(numbers).reshape(-1)
    step_length = (distance * schedule.cone).clamp(min=schedule.length)
    positions = origins[ray_index] + distance[:, None] * directions[ray_index]
    kept = (
        occupancy.is_occupied(positions, step_length)
        & (distance < leave[ray_index])
        & (distance >= enter[ray_index])
    )
    return Samples(ray_index, distance, step_length).select(kept.nonzero()[:, 0])
