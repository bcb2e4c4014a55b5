"""Marching: the same samples as `triptych.radiance.march`, ray by ray, skipping what is empty."""

import math

import numpy as np

from triptych.kernels.arithmetic import exponential
from triptych.kernels.jit import kernel

RAYS = 64  # rays a task
SHIFT = 2
COARSE = 1 << SHIFT  # cells a side of the blocks that are skipped at once where they are empty
ZERO, HALF, ONE, TINY = np.float32(0), np.float32(0.5), np.float32(1), np.float32(1e-20)


@kernel
def step_number(distance, length, cone):
    """As `Stepping.number`."""
    linear = distance / length
    if cone == ZERO or linear < ONE / cone:
        return linear
    return ONE / cone + np.float32(math.log(linear * cone)) / cone


@kernel
def step_distance(number, length, cone):
    """As `Stepping.distance`."""
    bend = ONE / cone if cone > ZERO else np.float32(np.inf)
    if number < bend:
        return number * length
    return length * bend * exponential(cone * (number - bend))


@kernel
def next_sample(ox, oy, oz, dx, dy, dz, ix, iy, iz, number, last, bits, blocks, length, cone):
    """The first step at or after `number` that lies in an occupied cell.

    All that changes from call to call is a plain number: slices of arrays would be counted
    references, which threads fight over.

    Args:
        ox, oy, oz, dx, dy, dz, ix, iy, iz: the ray's origin, direction and that one's `inverse`.
        number: of the step to begin with.
        last: distance at which the ray leaves the box.
        bits, blocks: packed bits (cascades, side, side, side / 8), and the same of blocks of
            COARSE³ cells as bytes (cascades, side / COARSE, …).
        length, cone: as of `Stepping`.

    Returns:
        The step's number and its distance; a distance of at least `last` means there is none.
    """
    cascades, side = bits.shape[0], bits.shape[1]
    sidef = np.float32(side)
    while True:
        distance = step_distance(number, length, cone)
        if distance >= last:
            return number, distance
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
        if (bits[cascade, cx, cy, cz >> 3] >> np.uint8(cz & 7)) & np.uint8(1):
            return number, distance
        size = ONE
        if blocks[cascade, cx >> SHIFT, cy >> SHIFT, cz >> SHIFT] == 0:
            cx, cy, cz = cx >> SHIFT << SHIFT, cy >> SHIFT << SHIFT, cz >> SHIFT << SHIFT
            size = np.float32(COARSE)
        # to the far side of the empty cell or block, but not to where longer steps look at larger cells
        exit_x = (np.float32(cx) + (size if dx > ZERO else ZERO) - fx) * ix
        exit_y = (np.float32(cy) + (size if dy > ZERO else ZERO) - fy) * iy
        exit_z = (np.float32(cz) + (size if dz > ZERO else ZERO) - fz) * iz
        leap = min(min(exit_x, exit_y), exit_z) / scale
        if cone > ZERO and cascade < cascades - 1:
            limit = (half + half) / (sidef * cone)
            if distance < limit:
                leap = min(leap, limit - distance)
        # the number of steps, or a little less: growing ones by log(1 + x) > x - x² / 2
        if distance * cone < length:
            if cone > ZERO:
                leap = min(leap, length / cone - distance)
            leap = leap / length
        else:
            growth = leap / distance
            leap = (growth - HALF * growth * growth) / cone
        number += max(ONE, np.ceil(leap))


@kernel
def inverse(direction):
    """One over a component of a direction, large where that is 0."""
    return ONE / direction if abs(direction) > TINY else np.float32(1e20)


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
def march(task, origins, directions, jitter, bits, blocks, box, length, cone, found, counts):
    """Distances of the samples of RAYS rays.

    Args:
        task: which rays.
        origins, directions: (rays, 3) float32.
        jitter: (rays,) float32 in [0, 1).
        bits, blocks: as of `next_sample`.
        box: low, high, near.
        length, cone: as of `Stepping`.
        found: (tasks, capacity) float32, filled with the distances one ray after the other.
        counts: (rays,) int32, filled with each ray's number of samples.
    """
    low, high, near = box
    filled = 0
    for ray in range(task * RAYS, min(len(counts), (task + 1) * RAYS)):
        begun = filled
        enter, leave = box_interval(origins, directions, ray, low, high, near)
        if enter < leave < np.inf:  # not so for a ray of NaNs
            ox, oy, oz = origins[ray, 0], origins[ray, 1], origins[ray, 2]
            dx, dy, dz = directions[ray, 0], directions[ray, 1], directions[ray, 2]
            ix, iy, iz = inverse(dx), inverse(dy), inverse(dz)
            number = step_number(enter, length, cone) + jitter[ray]
            while True:
                number, distance = next_sample(
                    ox, oy, oz, dx, dy, dz, ix, iy, iz, number, leave, bits, blocks, length, cone
                )
                if distance >= leave:
                    break
                found[task, filled] = distance
                filled += 1
                number += ONE
        counts[ray] = filled - begun


@kernel
def place_samples(task, origins, directions, found, starts, distances, rays, positions):
    """Pack what `march` found.

    Args:
        task: which rays.
        origins, directions: (rays, 3) float32.
        found: as of `march`.
        starts: (rays + 1,) int64, where each ray's samples begin.
        distances: (n,) float32, filled.
        rays: (n,) int32, filled.
        positions: (3, n) float32, filled.
    """
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
