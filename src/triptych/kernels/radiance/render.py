"""Rendering without gradients: tiles of rays, each followed until nothing more shows."""

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.arithmetic import exponential
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.radiance import march
from triptych.kernels.radiance.encode import encode_range
from triptych.kernels.radiance.field import FieldKernels, ray_activations
from triptych.kernels.radiance.networks import evaluate
from triptych.radiance.composite import RenderedRays
from triptych.radiance.field import Field
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import StepSchedule

RAYS = 256  # rays a task
WAVE = 4096  # samples evaluated together: their encodings and positions stay in the cache
MOST = 64  # samples of one ray in one wave
ZERO, ONE, JITTER = np.float32(0), np.float32(1), np.float32(0.5)


@kernel
def render(
    task, origins, directions, features, occupancy, box, steps, min_light, grid, forward, like, rendered
):
    """What RAYS rays see, in waves of at most WAVE samples from the camera outwards.

    Fills `rendered` (rays, 5) with colour, opacity and depth. No ray is followed below a transmittance
    `min_light`.
    """
    tables, lanes = grid[0], grid[5]
    (low, high, near), (length, cone) = box, steps
    first = task * RAYS
    last = min(len(rendered), first + RAYS)
    levels, width = len(tables), len(lanes)
    positions = np.empty((3, WAVE), np.float32)
    distances, owners = np.empty(WAVE, np.float32), np.empty(WAVE, np.int32)
    encoding = np.empty((levels, WAVE, width), like.dtype)
    density, colour = np.empty(WAVE, np.float32), np.empty((WAVE, 3), np.float32)
    room = np.empty(march.LOOK, np.float32), np.empty(march.LOOK, np.uint32)
    samples = np.arange(WAVE).astype(np.int32)
    numbers, leaves = np.empty(RAYS, np.float32), np.empty(RAYS, np.float32)
    light, ends = np.ones(RAYS, np.float32), np.empty(RAYS, np.int64)
    active = np.empty(RAYS, np.int64)
    count = 0
    for ray in range(first, last):
        rendered[ray, :] = ZERO
        enter, leave = march.box_interval(origins, directions, ray, low, high, near)
        if enter < leave < np.inf:
            numbers[ray - first], leaves[ray - first] = march.step_number(enter, length, cone) + JITTER, leave
            active[count] = ray - first
            count += 1
    while count > 0:
        each = min(MOST, WAVE // count)
        filled = 0
        for place in range(count):
            local = active[place]
            ray = first + local
            begun = filled
            here, number, leave = march.ray_of(origins, directions, ray), numbers[local], leaves[local]
            numbers[local], filled = march.find_samples(
                here, number, leave, occupancy, steps, room, distances, begun, begun + each
            )
            for sample in range(begun, filled):
                owners[sample] = ray
                for axis in range(3):
                    positions[axis, sample] = origins[ray, axis] + distances[sample] * directions[ray, axis]
            ends[place] = filled
        for level in range(levels):
            encode_range(grid, level, positions, 0, filled, encoding[level])
        evaluate(0, encoding, lanes, samples, filled, owners, features, forward, density, colour)
        sample, kept = 0, 0
        for place in range(count):
            local = active[place]
            ray, bright = first + local, light[local]
            while sample < ends[place]:
                distance = distances[sample]
                passing = exponential(-density[sample] * max(distance * cone, length))
                weight = bright * (ONE - passing)
                for channel in range(3):
                    rendered[ray, channel] += weight * colour[sample, channel]
                rendered[ray, 4] += weight * distance
                bright *= passing
                sample += 1
            light[local] = bright
            rendered[ray, 3] = ONE - bright
            if bright > min_light and numbers[local] < np.inf:
                active[kept] = local
                kept += 1
        count = kept


class KernelRenderer:
    """Renders rays of one field, in float32 on the CPU, that no longer changes."""

    def __init__(self, field: Field, precision: str) -> None:
        self.kernels = FieldKernels(field, precision)

    def __call__(
        self,
        occupancy: OccupancyGrid,
        origins: Tensor,
        directions: Tensor,
        *,
        schedule: StepSchedule,
        near: float,
        min_transmittance: float,
    ) -> RenderedRays:
        """What rays see, given by (rays, 3) origins and unit directions."""
        kernels, aabb_scale = self.kernels, self.kernels.field.shape.aabb_scale
        with torch.no_grad():
            features = ray_activations(kernels.field.ray_features(directions), kernels.dtype)
        box = (np.float32(0.5 - aabb_scale / 2), np.float32(0.5 + aabb_scale / 2), np.float32(near))
        steps = np.float32(schedule.length), np.float32(schedule.cone)
        rays = origins.contiguous().numpy(), directions.contiguous().numpy(), features
        marched = march.packed_occupancy(occupancy), box, steps, np.float32(min_transmittance)
        like: np.ndarray = np.empty(0, kernels.dtype)
        rendered = np.empty((len(origins), 5), np.float32)
        parallel(
            render, -(-len(origins) // RAYS), *rays, *marched, kernels.grid, kernels.forward, like, rendered
        )
        values = torch.from_numpy(rendered)
        return RenderedRays(values[:, :3], values[:, 3], values[:, 4])
