"""A linear layer's three products in bfloat16.

With AMX the output and the input gradient are PyTorch's own, which reach the hardware's speed; for the
gradients of weights and bias they reach half of it, and read `dy` once more for the bias. With AVX512-BF16
all three are faster here. Activations and weights (out, in) are contiguous and bfloat16, gradients of
parameters float32.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.kernels import gemm
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.compiler.vectors import add_rows, convert_sum, copy_row
from triptych.kernels.gemm import AMX, PANEL

TASKS = 32  # slices of the rows: what a thread works on at a time
HIGH = 48  # rows of the output at a time: a multiple of the micro-kernel's
# Rows at a time in the weight gradient, and the largest part of it that stays in a core's cache.
ROWS, WIDE, DEEP = (256, 2**20, 2**20) if AMX else (64, 256, 512)
BIT, FLOAT, SIXTEEN = np.uint16(0), np.float32(0), (0,) * 16  # types
LINE = 64  # bytes of a cache line


def supported(channels_in: int, channels_out: int) -> bool:
    """Whether a layer of so many channels can be computed here."""
    return channels_in % PANEL == channels_out % PANEL == 0


def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The output x @ weight.T + bias: (..., in) -> (..., out); the bias is float32."""
    if AMX:
        return F.linear(x, weight, bias.to(torch.bfloat16))
    channels, depth = weight.shape
    packed = torch.empty_like(weight)
    parallel(pack_weights, channels // PANEL, weight.data_ptr(), depth, packed.data_ptr())
    return _multiply(x, packed, bias, channels)


def input_gradient(dy: Tensor, weight: Tensor) -> Tensor:
    """The gradient dy @ weight: (..., out) -> (..., in)."""
    if AMX:
        return dy @ weight
    channels, depth = weight.shape
    packed = torch.empty_like(weight)
    addresses = weight.data_ptr(), channels, depth, packed.data_ptr()
    parallel(pack_transposed_weights, depth // PANEL, *addresses)
    return _multiply(dy, packed, torch.zeros(depth), depth)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor, channels: int) -> Tensor:
    depth = x.shape[-1]
    y = torch.empty(*x.shape[:-1], channels, dtype=torch.bfloat16)
    addresses = packed.data_ptr(), bias.data_ptr(), y.data_ptr()
    parallel(multiply, TASKS, TASKS, x.data_ptr(), x.numel() // depth, depth, *addresses, channels)
    return y


def weight_gradient(x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients dy.T @ x and the sum of dy over rows; x is (rows, in), dy (rows, out)."""
    (rows, depth), channels = x.shape, dy.shape[1]
    d_weight, d_bias = torch.zeros(channels, depth), torch.empty(channels)
    # rectangles, at least one a thread; the cuts change no bit
    threads = torch.get_num_threads()
    across = math.isqrt(threads)
    deep, wide = min(DEEP, _panels(depth, across)), min(WIDE, _panels(channels, -(-threads // across)))
    tasks = -(-channels // wide) * -(-depth // deep)
    shapes = x.data_ptr(), rows, depth, dy.data_ptr(), channels, wide, deep
    parallel(gradient, tasks, *shapes, d_weight.data_ptr(), d_bias.data_ptr())
    return d_weight, d_bias


def _panels(channels: int, parts: int) -> int:
    """Channels of one of at most so many parts, in whole panels."""
    return -(-channels // (parts * PANEL)) * PANEL


@kernel
def pack_weights(task, weights, depth, packed):
    """PANEL rows of weights (out, in) for a product over `in`."""
    row = depth * 2
    gemm.pack_columns(weights + task * PANEL * row, row, depth, PANEL, packed + task * PANEL * row, PANEL * 4)


@kernel
def pack_transposed_weights(task, weights, channels, depth, packed):
    """PANEL columns of weights (out, in) for a product over `out`."""
    target = packed + task * channels * PANEL * 2
    gemm.pack_rows(weights + task * PANEL * 2, depth * 2, channels, PANEL, target, PANEL * 4)


@kernel
def multiply(task, tasks, x, rows, depth, packed, bias, target, channels):
    """Write a share of the rows of x @ weights + bias, by weights packed for it."""
    gemm.begin()
    buffer = np.empty(HIGH * PANEL + 16, np.float32)
    sums = np.int64(buffer.ctypes.data)
    sums += -sums % LINE
    row, wide = depth * 2, PANEL * 4
    blocks = -(-rows // HIGH)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * HIGH
        count = min(HIGH, rows - first)
        for channel in range(0, channels, PANEL):
            a, b = x + first * row, packed + channel * row
            gemm.multiply(a, row, 4, b, wide, sums, wide, count, PANEL, depth // 2, False, BIT)
            for line in range(count):
                y = target + ((first + line) * channels + channel) * 2
                for lane in range(0, PANEL, 16):
                    convert_sum(sums + line * wide + lane * 4, bias + (channel + lane) * 4, y + lane * 2)
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def _copy_rows(source, row, count, width, target):
    """The first rows of ROWS, zeros behind them."""
    target[:] = 0
    place = np.int64(target.ctypes.data)
    for line in range(count):
        for channel in range(0, width, 16):
            copy_row(source + line * row + channel * 2, place + (line * width + channel) * 2, BIT, SIXTEEN)
    return place


@kernel
def gradient(task, x, rows, depth, dy, channels, wide, deep, d_weight, d_bias):
    """Add dy.T @ x to `d_weight` (out, in), for `wide` x `deep` of them, and write the sums of dy.

    The contraction over thousands of rows is what libraries are slow at: both operands lie across it. Here a
    task owns a rectangle of the weights and packs ROWS rows at a time, which stay in its core's cache while
    all its sums use them. Every sum runs over rows in order, whatever the rectangles.
    """
    gemm.begin()
    across = -(-depth // deep)
    first_out, first_in = task // across * wide, task % across * deep
    outs, ins = min(wide, channels - first_out), min(deep, depth - first_in)
    totals, tail = np.zeros(outs, np.float32), np.empty(ROWS * max(outs, ins), np.uint16)
    panel = gemm.transposed_size(ROWS, PANEL)
    buffer = np.empty(outs // PANEL * panel + ins * ROWS * 2 + LINE, np.uint8)
    left = np.int64(buffer.ctypes.data)
    left += -left % LINE
    right = left + outs // PANEL * panel
    strides = 0, 0
    for first in range(0, rows, ROWS):
        count = min(ROWS, rows - first)
        source, row = x + (first * depth + first_in) * 2, depth * 2
        slopes, slope_row = dy + (first * channels + first_out) * 2, channels * 2
        if first_in == 0:
            for channel in range(0, outs, 16):
                total = np.int64(totals.ctypes.data) + channel * 4
                add_rows(slopes + channel * 2, slope_row, count, total)
        if count < ROWS:
            source, row = _copy_rows(source, row, count, ins, tail), ins * 2
        for channel in range(0, ins, PANEL):
            gemm.pack_rows(source + channel * 2, row, ROWS, PANEL, right + channel * ROWS * 2, PANEL * 4)
        if count < ROWS:
            slopes, slope_row = _copy_rows(slopes, slope_row, count, outs, tail), outs * 2
        for out in range(0, outs, PANEL):
            place = left + out // PANEL * panel
            strides = gemm.pack_transposed(slopes + out * 2, slope_row, ROWS, PANEL, place)
        for out in range(0, outs, PANEL):
            for channel in range(0, ins, PANEL):
                a, b = left + out // PANEL * panel, right + channel * ROWS * 2
                c = d_weight + ((first_out + out) * depth + first_in + channel) * 4
                gemm.multiply(
                    a, strides[0], strides[1], b, PANEL * 4, c, depth * 4, PANEL, PANEL, ROWS // 2, True, BIT
                )
    if first_in == 0:
        for channel in range(0, outs, 16):
            target = d_bias + (first_out + channel) * 4
            copy_row(np.int64(totals.ctypes.data) + channel * 4, target, FLOAT, SIXTEEN)
    buffer[0] = totals[0] + tail[0]  # an address alone keeps no memory: without these uses it would be freed
