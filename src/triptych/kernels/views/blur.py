"""Separable blur of one square image in place: the mathematics of `triptych.augment.geometry.blur`."""

import numpy as np

from triptych.kernels.compiler.jit import kernel


@kernel
def _reflected(place, size):
    return size - 1 - abs(size - 1 - abs(place))


@kernel
def blur(plane, size, weights, lines, line):
    """Weigh the neighbours of each pixel in both directions by (2 * radius + 1,) weights, with reflected
    borders.

    `plane` has size * size pixels or more; `lines` (size, size) and `line` (size + 2 * radius,) are
    overwritten.
    """
    radius = len(weights) // 2
    for y in range(size):
        target = lines[y]
        target[:] = np.float32(0)
        for tap in range(len(weights)):
            place = _reflected(y + tap - radius, size) * size
            source, weight = plane[place : place + size], weights[tap]
            for x in range(size):
                target[x] += weight * source[x]
    for y in range(size):
        for x in range(len(line)):
            line[x] = lines[y, _reflected(x - radius, size)]
        target = plane[y * size : (y + 1) * size]
        target[:] = np.float32(0)
        for tap in range(len(weights)):
            source, weight = line[tap : tap + size], weights[tap]
            for x in range(size):
                target[x] += weight * source[x]
