"""Marching: the same samples as `triptych.radiance.march`, ray by ray, skipping what is empty."""

import math

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

from triptych.kernels.compiler.arithmetic import (
    add32,
    exponential,
    multiply32,
    power_above,
    power_of_two,
    truncated,
)
from triptych.kernels.compiler.jit import kernel
from triptych.radiance.occupancy_grid import OccupancyGrid, coarsen

RAYS = 64  # rays a task
LOOK = 16  # steps that are looked at together
SHIFT = 2
COARSE = 1 << SHIFT  # cells a side of the blocks that are skipped at once where they are empty
ZERO, HALF, ONE, TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-20)


_packed = WeakIdKeyDictionary()  # by the grid's tensor, which is replaced whenever cells change


def packed_occupancy(occupancy: OccupancyGrid) -> tuple[np.ndarray, np.ndarray]:
    """A bit for each cell, and (cascades, side / COARSE, …) bytes, whether a block has an occupied cell."""
    cells = occupancy.occupied
    if cells not in _packed:
        bits = np.packbits(cells.numpy(), bitorder="little")
        blocks = coarsen(coarsen(cells))
        _packed[cells] = (bits, blocks.contiguous().view(torch.uint8).numpy())
    packed: tuple[np.ndarray, np.ndarray] = _packed[cells]
    return packed


@kernel
def step_number(distance, length, cone):
    """As `StepSchedule.number`."""
    linear = distance / length
    if cone == ZERO or linear < ONE / cone:
        return linear
    return ONE / cone + np.float32(math.log(linear * cone)) / cone


@kernel
def step_distance(number, length, cone):
    """As `StepSchedule.distance`."""
    bend = ONE / cone if cone > ZERO else np.float32(np.inf)
    if number < bend:
        return number * length
    return length * bend * exponential(cone * (number - bend))


@kernel
def inverse(direction):
    """One over a component of a direction, large where that is 0."""
    return ONE / direction if abs(direction) > TINY else np.float32(1e20)


@kernel
def ray_of(origins, directions, ray):
    """Origin, direction, and one over the direction (large where that is 0), as three tuples of three."""
    origin = origins[ray, 0], origins[ray, 1], origins[ray, 2]
    direction = directions[ray, 0], directions[ray, 1], directions[ray, 2]
    return origin, direction, (inverse(direction[0]), inverse(direction[1]), inverse(direction[2]))


@kernel
def skip_empty_space(ray, number, blocks, steps):
    """Steps from `number`, which lies in an empty cell, to the first one behind that cell or its block.

    `blocks` (cascades, side / COARSE, …) says whether any of a block's COARSE³ cells is occupied.
    """
    (ox, oy, oz), (dx, dy, dz), (ix, iy, iz) = ray
    length, cone = steps
    cascades, side = blocks.shape[0], blocks.shape[1] << SHIFT
    sidef = np.float32(side)
    distance = step_distance(number, length, cone)
    x = ox + distance * dx - HALF
    y = oy + distance * dy - HALF
    z = oz + distance * dz - HALF
    extent = max(max(abs(x), abs(y)), abs(z))
    step = max(distance * cone, length)
    cascade, half = 0, HALF
    while cascade < cascades - 1 and (extent > half or step * sidef > half + half):
        cascade += 1
        half += half
    scale = sidef / (half + half)
    fx, fy, fz = (x + half) * scale, (y + half) * scale, (z + half) * scale
    cx = min(max(np.int64(fx), 0), side - 1)
    cy = min(max(np.int64(fy), 0), side - 1)
    cz = min(max(np.int64(fz), 0), side - 1)
    size = ONE
    if blocks[cascade, cx >> SHIFT, cy >> SHIFT, cz >> SHIFT] == 0:
        cx, cy, cz = cx >> SHIFT << SHIFT, cy >> SHIFT << SHIFT, cz >> SHIFT << SHIFT
        size = np.float32(COARSE)
    # to the far side of the empty cell or block, but not to where longer steps look at larger cells
    exit_x = (np.float32(cx) + (size if dx > ZERO else ZERO) - fx) * ix
    exit_y = (np.float32(cy) + (size if dy > ZERO else ZERO) - fy) * iy
    exit_z = (np.float32(cz) + (size if dz > ZERO else ZERO) - fz) * iz
    path = min(min(exit_x, exit_y), exit_z) / scale
    if cone > ZERO and cascade < cascades - 1:
        limit = (half + half) / (sidef * cone)
        if distance < limit:
            path = min(path, limit - distance)
    # the number of steps, or a little less: growing ones by log(1 + x) > x - x² / 2
    if distance * cone < length:
        if cone > ZERO:
            path = min(path, length / cone - distance)
        count = path / length
    else:
        growth = path / distance
        count = (growth - HALF * growth * growth) / cone
    return max(ONE, np.ceil(count))


@kernel
def look_ahead(ray, number, shape, steps, distances, cells):
    """Fill distances (float32) and cells (uint32 positions of the cells' bits) of LOOK steps from `number`
    on.

    Without branches, so that the compiler makes vectors of it. `shape` is (cascades, side), both uint32.
    """
    (ox, oy, oz), (dx, dy, dz), _ = ray
    length, cone = steps
    cascades, side = shape
    sidef = np.float32(side)
    edge, most = sidef - ONE, np.float32(cascades) - ONE
    for step in range(LOOK):
        distance = step_distance(number + np.float32(step), length, cone)
        distances[step] = distance
        x = ox + distance * dx - HALF
        y = oy + distance * dy - HALF
        z = oz + distance * dz - HALF
        extent = max(max(abs(x), abs(y)), abs(z))
        reach = max(extent + extent, max(distance * cone, length) * sidef)
        cascade = min(max(power_above(reach), ZERO), most)
        scale, half = sidef * power_of_two(-cascade), HALF * power_of_two(cascade)
        cx = truncated(min(max((x + half) * scale, ZERO), edge))
        cy = truncated(min(max((y + half) * scale, ZERO), edge))
        cz = truncated(min(max((z + half) * scale, ZERO), edge))
        rows = add32(multiply32(truncated(cascade), side), cx)
        cells[step] = add32(multiply32(add32(multiply32(rows, side), cy), side), cz)


@kernel
def find_samples(ray, number, leave, occupancy, steps, room, found, filled, end):
    """Write the distances of a ray's samples from step `number` on to found[filled:end].

    The last LOOK places may stay free; the ray leaves the box at distance `leave`. Returns the step to go on
    with, infinite behind the last one, and the end of what was written.
    """
    (bits, blocks), (distances, cells) = occupancy, room
    shape = np.uint32(blocks.shape[0]), np.uint32(blocks.shape[1] << SHIFT)
    while filled + LOOK <= end:
        look_ahead(ray, number, shape, steps, distances, cells)
        if not distances[0] < leave:
            return np.float32(np.inf), filled
        begun = filled
        for step in range(LOOK):
            cell, distance = cells[step], distances[step]
            occupied = (bits[cell >> 3] >> np.uint8(cell & 7)) & np.uint8(1)
            found[filled] = distance  # overwritten by the next one if this is none
            filled += occupied & (distance < leave)
        number += np.float32(LOOK)
        if filled == begun:
            number += skip_empty_space(ray, number - ONE, blocks, steps) - ONE
    return number, filled


@kernel
def box_interval(origins, directions, ray, low, high, near):
    """Distances at which a ray enters (or `near`, if later) and leaves the box."""
    enter, leave = near, np.float32(np.inf)
    for axis in range(3):
        direction = directions[ray, axis]
        inverse = ONE / (direction if direction != ZERO else TINY)
        first, second = (low - origins[ray, axis]) * inverse, (high - origins[ray, axis]) * inverse
        enter, leave = max(enter, min(first, second)), min(leave, max(first, second))
    return enter, leave


@kernel
def march(task, origins, directions, jitter, occupancy, box, steps, found, counts):
    """Distances of the samples of RAYS rays, whose steps are shifted by `jitter` in [0, 1).

    Fills `found` (tasks, capacity) with the distances one ray after the other, LOOK more than there can be,
    and `counts` (rays,) with each ray's number of samples. The box is low, high, near.
    """
    low, high, near = box
    room = np.empty(LOOK, np.float32), np.empty(LOOK, np.uint32)
    here, filled = found[task], 0
    for number in range(task * RAYS, min(len(counts), (task + 1) * RAYS)):
        begun = filled
        enter, leave = box_interval(origins, directions, number, low, high, near)
        if enter < leave < np.inf:  # not so for a ray of NaNs
            first = step_number(enter, steps[0], steps[1]) + jitter[number]
            ray = ray_of(origins, directions, number)
            _, filled = find_samples(ray, first, leave, occupancy, steps, room, here, filled, len(here))
        counts[number] = filled - begun


@kernel
def place_samples(task, origins, directions, found, starts, distances, rays, positions):
    """Pack what `march` found, ray by ray, from `starts` (rays + 1,) on; positions become (3, n)."""
    first = task * RAYS
    base = starts[first]
    for ray in range(first, min(len(starts) - 1, first + RAYS)):
        begin, end = starts[ray], starts[ray + 1]
        for sample in range(begin, end):
            distance = found[task, sample - base]
            distances[sample] = distance
            rays[sample] = ray
            for axis in range(3):
                positions[axis, sample] = origins[ray, axis] + distance * directions[ray, axis]
