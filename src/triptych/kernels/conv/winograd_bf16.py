"""3 x 3 convolutions in bfloat16 by Winograd's minimal filtering, for CPUs with AVX512-BF16 but no AMX.

Four values of the output take 16 products instead of 36, with a stride of 2 they take 25; transforms cost
some of that, and rounding their results to bfloat16 costs a digit: results are about twice as far from
float32's as a plain convolution's. Maps are bfloat16 and channels_last, weights and their gradients float32.
"""

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.conv.winograd import (
    FIVE,
    FOUR,
    LINE,
    THREE,
    TWO,
    corner_of,
    look_around,
    prefetch_rows,
    transformed_convolution,
)
from triptych.kernels.conv.winograd_transforms import (
    INPUTS,
    OUTPUTS,
    line_sums,
    pair_line,
    transform_kernel_gradient,
)
from triptych.kernels.gemm.vector import multiply

WEIGHTS = torch.float32  # the number format of the weights: transformed, then rounded
SPAN = 128  # channels of the output whose share of the weight gradient stays in a core's cache
GRADIENT_TASKS = 16  # at least; the same for any number of threads, since sums depend on it
PANEL = 64  # columns of packed matrices
WIDE = PANEL * 4  # bytes of a row of sums, or of pairs
TILES, FEW_TILES, DEEP = 48, 24, 64  # tiles at a time: multiples of 6, of 6, of 2
BIT, ONE = np.uint16(0), np.float32(1)
# Line i of B' x is line FIRST[i] of x, and line SECOND[i] times a factor; line i of A y two lines of y.
(FIRST, SECOND, FACTOR), (FIRST_2, SECOND_2, FACTOR_2) = line_sums(INPUTS[4, 4]), line_sums(INPUTS[5, 5])
A, A_2 = (np.transpose(OUTPUTS[line, 2]).astype(np.float32) for line in (4, 5))


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and weight gradient are faster here."""
    if size != 3 or stride > 2 or n * (side // (2 * stride)) ** 2 < TILES:
        return False, False, False
    fits = side % (2 * stride) == 0 and side > 2 * stride
    fits = fits and channels_in % PANEL == channels_out % PANEL == 0
    return fits, fits, fits


def output(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with weights (O, I, 3, 3), padded by one position."""
    line, at_once = (FIVE, FEW_TILES) if stride == 2 else (FOUR, TILES)
    shape = x.shape[2] // (2 * stride), 2 * stride
    return transformed_convolution(x, weights, shape, (line, line, TWO), at_once, PANEL, BIT)


def input_gradient(dy: Tensor, weights: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, h, h)."""
    kind, at_once = ((THREE, FIVE, FOUR), FEW_TILES) if stride == 2 else ((FOUR, FOUR, TWO), TILES)
    shape = dy.shape[2] // 2, 2
    return transformed_convolution(dy, weights, shape, kind, at_once, PANEL, BIT, transposed=True)


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The weights' gradient (O, I, 3, 3), float32, from x (N, I, H, H) and dy (N, O, h, h)."""
    (n, depth), channels, tiles_per_side = x.shape[:2], dy.shape[1], dy.shape[2] // 2
    line, sums = (
        (FIVE, (FIRST_2, SECOND_2, FACTOR_2, A_2)) if stride == 2 else (FOUR, (FIRST, SECOND, FACTOR, A))
    )
    span = SPAN if channels % SPAN == 0 else PANEL
    blocks = len(line) * (channels // span)
    parts = -(-GRADIENT_TASKS // blocks)
    partial = torch.zeros(parts, len(line) ** 2, channels // PANEL, depth // PANEL, PANEL, PANEL)
    maps = x.data_ptr(), 2 * stride, depth, dy.data_ptr(), channels
    tiles = span, tiles_per_side, n * tiles_per_side**2, parts
    parallel(accumulate, blocks * parts, *maps, *tiles, partial.data_ptr(), sums, line)
    gradient = torch.empty(channels, depth, 3, 3, memory_format=torch.channels_last)
    parallel(finish, channels // 16, partial.numpy(), depth, gradient.data_ptr(), line)
    return gradient


@kernel
def accumulate(
    task, source, size, depth, gradient, channels, span, tiles_per_side, tiles, parts, partial, sums, line
):
    """The transformed weights' gradient at a line of places, of `span` outputs, from some tiles.

    Task: line + lines * (block of outputs + blocks * part). `sums` is FIRST, SECOND, FACTOR and A.
    Partial: [part][place][out / 64][in / 64][64][64].
    """
    lines = len(line)
    number, rest = task % lines, task // lines
    first_channel, part = rest % (channels // span) * span, rest // (channels // span)
    around, pair = np.empty(25, np.int64), np.empty(20, np.int64)
    corners, nothing = np.empty(8, np.int64), np.zeros(max(depth, channels), np.uint16)
    nowhere = np.int64(nothing.ctypes.data)
    step, out_step = DEEP * depth * 2 + LINE, DEEP * span * 2 + LINE
    inputs, outputs = np.empty(lines * step + LINE, np.uint8), np.empty(lines * out_step + LINE, np.uint8)
    right, left = np.int64(inputs.ctypes.data), np.int64(outputs.ctypes.data)
    right, left = right + -right % LINE, left + -left % LINE
    row, out_row = depth * 2, channels * 2
    distance, out_distance = tiles_per_side * size * row, tiles_per_side * 2 * out_row
    square = PANEL * WIDE
    across = depth // PANEL * square
    layer = channels // PANEL * across
    target = partial + (part * lines + number) * lines * layer + first_channel // PANEL * across
    upper, lower, factor = sums[0][number], sums[1][number], sums[2][number]
    top, bottom = sums[3][number, 0], sums[3][number, 1]
    blocks = -(-tiles // DEEP)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for tile in range(0, DEEP, 2):
            for second in range(2):
                this = block * DEEP + tile + second
                a, b = 2 * lines * second, 4 * second
                if this >= tiles:
                    pair[a : a + 2 * lines] = nowhere
                    corners[b : b + 4] = nowhere
                    continue
                corner = corner_of(this, source, tiles_per_side, size, row)
                prefetch_rows(
                    corner + (upper + size - 1) * distance, 2, (lower - upper) * distance, size * row
                )
                look_around(this, corner, tiles_per_side, size, row, nowhere, line, around)
                for x in range(lines):
                    pair[a + x] = around[lines * upper + x]
                    pair[a + lines + x] = around[lines * lower + x]
                corner = corner_of(this, gradient, tiles_per_side, 2, out_row) + first_channel * 2
                for x in range(2):
                    prefetch_rows(corner + 2 * out_distance + x * out_row, 2, out_distance, 2 * span)
                    corners[b + x] = corner + x * out_row
                    corners[b + 2 + x] = corner + out_distance + x * out_row
            for channel in range(0, depth, 16):
                place = right + (channel // PANEL * DEEP + tile) * PANEL * 2 + channel % PANEL * 4
                pair_line(pair.ctypes.data, channel * 2, ONE, factor, place, step, line, line)
            for channel in range(0, span, 16):
                place = left + (channel // PANEL * DEEP + tile) * PANEL * 2 + channel % PANEL * 4
                pair_line(corners.ctypes.data, channel * 2, top, bottom, place, out_step, TWO, line)
        for column in range(lines):
            for tall in range(span // PANEL):
                for wide in range(depth // PANEL):
                    a = left + column * out_step + tall * DEEP * PANEL * 2
                    b = right + column * step + wide * DEEP * PANEL * 2
                    c = target + column * layer + tall * across + wide * square
                    multiply(a, 4, WIDE, b, WIDE, c, WIDE, PANEL, PANEL, DEEP // 2, True, BIT)
    nothing[0] = inputs[0] + outputs[0] + around[0] + pair[0] + corners[0]  # uses, as in `convolve`


@kernel
def finish(task, partial, depth, gradient, line):
    """The gradients of 16 outputs' weights from the sums (parts, places, out / 64, in / 64, 64, 64)."""
    for out in range(16 * task, 16 * task + 16):
        tall, row = out // PANEL, out % PANEL
        for wide in range(depth // PANEL):
            for part in range(1, partial.shape[0]):
                for place in range(partial.shape[1]):
                    total, more = partial[0, place, tall, wide, row], partial[part, place, tall, wide, row]
                    for lane in range(PANEL):
                        total[lane] += more[lane]
            numbers = np.int64(partial[0, 0, tall, wide, row].ctypes.data)
            for channel in range(0, PANEL, 16):
                target = gradient + (out * 9 * depth + wide * PANEL + channel) * 4
                transform_kernel_gradient(numbers + channel * 4, partial.strides[1], target, depth * 4, line)
