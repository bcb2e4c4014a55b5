"""3 x 3 convolutions in float32 by Winograd's minimal filtering.

Sixteen values of the output take 36 products instead of 144; float32 has digits enough for the sums of that.
Maps are channels_last.
"""

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.conv.winograd import (
    FOUR,
    LINE,
    SIX,
    SPAN,
    TASKS,
    corner_of,
    look_around,
    prefetch_rows,
    transformed_convolution,
)
from triptych.kernels.conv.winograd_transforms import transform_kernel_gradient, transform_window
from triptych.kernels.gemm.vector import multiply

WEIGHTS = torch.float32  # the number format of the weights
LEAST = 48  # tiles: with fewer, transforming the weights takes longer than it saves
AT_ONCE = 24  # tiles that a core transforms at a time: a multiple of 6
CHUNK = 2**23  # numbers of both transformed maps whose products are added at a time
DEEP = 128  # tiles whose products are summed at a time: as many as the first-level cache holds
PLACES, PANEL, ZERO = 36, 16, np.float32(0)


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and weight gradient are faster here."""
    fits = size == 3 and stride == 1 and side % 4 == 0 and n * (side // 4) ** 2 >= LEAST
    fits = fits and channels_in % SPAN == channels_out % SPAN == 0
    return fits, fits, fits


def output(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with weights (O, I, 3, 3), padded by one position."""
    shape = x.shape[2] // 4, 4
    return transformed_convolution(x, weights, shape, (SIX, SIX, FOUR), AT_ONCE, PANEL, ZERO)


def input_gradient(dy: Tensor, weights: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, side, side)."""
    shape = side // 4, 4
    return transformed_convolution(
        dy, weights, shape, (SIX, SIX, FOUR), AT_ONCE, PANEL, ZERO, transposed=True
    )


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The weights' gradient (O, I, 3, 3) from x (N, I, H, H) and dy (N, O, H, H)."""
    (n, depth, side, _), channels = x.shape, dy.shape[1]
    tiles_per_side = side // 4
    tiles = n * tiles_per_side**2
    at_once = min(tiles, max(1, CHUNK // (PLACES * (depth + channels))))
    inputs, gradients = (torch.empty(PLACES * at_once * count) for count in (depth, channels))
    sums = torch.zeros(PLACES, channels, depth)
    for first in range(0, tiles, at_once):
        count = min(at_once, tiles - first)
        of_x = x.data_ptr(), depth, tiles_per_side, first, count, False, inputs.data_ptr()
        of_dy = dy.data_ptr(), channels, tiles_per_side, first, count, True, gradients.data_ptr()
        parallel(transform, TASKS, TASKS, *of_x)
        parallel(transform, TASKS, TASKS, *of_dy)
        addresses = gradients.data_ptr(), channels, inputs.data_ptr(), depth, count, sums.data_ptr()
        parallel(accumulate, PLACES * (channels // 16), *addresses)
    gradient = torch.empty(channels, depth, 3, 3, memory_format=torch.channels_last)
    parallel(finish, channels // 16, sums.data_ptr(), channels, depth, gradient.data_ptr())
    return gradient


@kernel
def transform(task, tasks, source, depth, tiles_per_side, first, count, gradient, packed):
    """Transform some tiles of the input, or of the output's gradient: [place][channel / 16][tile][16]."""
    table, nothing = np.empty(PLACES, np.int64), np.zeros(depth, np.float32)
    addresses, nowhere = np.int64(table.ctypes.data), np.int64(nothing.ctypes.data)
    row, step = depth * 4, depth * count * 4
    distance = tiles_per_side * 4 * row
    for number in range(task * count // tasks, (task + 1) * count // tasks):
        corner = corner_of(first + number, source, tiles_per_side, 4, row)
        prefetch_rows(corner + (4 if gradient else 5) * distance, 4, distance, 4 * row)
        if gradient:
            for position in range(16):
                table[position] = corner + position // 4 * distance + position % 4 * row
        else:
            look_around(first + number, corner, tiles_per_side, 4, row, nowhere, SIX, table)
        for channel in range(0, depth, 16):
            at = packed + (channel * count + number * 16) * 4
            if gradient:
                transform_window(addresses, channel * 4, at, step, FOUR, SIX, ZERO)
            else:
                transform_window(addresses, channel * 4, at, step, SIX, SIX, ZERO)
    nothing[0] = table[0]  # uses, as in `convolve`


@kernel
def accumulate(task, gradients, channels, inputs, depth, count, sums):
    """Add the products over transformed tiles: [place][out][in]. Task: place, block of 16 outputs."""
    place, out = task // (channels // 16), task % (channels // 16) * 16
    row = depth * 4
    left = gradients + (place * channels + out) * count * 4
    target = sums + (place * channels + out) * row
    for begin in range(0, count, DEEP):
        deep = min(DEEP, count - begin)
        for channel in range(0, depth, 16):
            b = inputs + ((place * depth + channel) * count + begin * 16) * 4
            multiply(
                left + begin * LINE, 4, LINE, b, LINE, target + channel * 4, row, 16, 16, deep, True, ZERO
            )


@kernel
def finish(task, sums, channels, depth, gradient):
    """The gradients of 16 outputs' weights from their sums."""
    for out in range(16 * task, 16 * task + 16):
        for channel in range(0, depth, 16):
            source = sums + (out * depth + channel) * 4
            target = gradient + (out * 9 * depth + channel) * 4
            transform_kernel_gradient(source, channels * depth * 4, target, depth * 4, SIX)
