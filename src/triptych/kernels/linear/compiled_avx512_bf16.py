"""A linear layer's three products in bfloat16, by a CPU's products of pairs.

Arrays are given by address, all bfloat16 unless said; channels come in multiples of 64. Only with
AVX512-BF16. Addresses are made signed: where numbers of both kinds meet, Numba makes them float64.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import (
    add_rows,
    convert_sum,
    copy_row,
    pair_rows,
    prefetch,
    transpose_words,
)
from triptych.kernels.gemm.avx512_bf16 import BITS, HEIGHT, ROWS, SQUARE, VECTORS, add_square
from triptych.kernels.gemm.registers import multiply_strip

HIGH, DEEP = 48, 64  # rows at a time: a multiple of 6, of 2
ROW, LANES, FLOAT = (0,), (0,) * 16, np.float32(0)
LINE = 64  # bytes of a cache line


@kernel
def pack_weights(task, weights, depth, packed):
    """64 rows of weights (out, in) for a product over `in`: [out / 64][in / 2][out % 64][in % 2]."""
    row = depth * 2
    for channel in range(0, depth, 32):
        target = packed + task * SQUARE * row + channel * SQUARE * 2
        for line in range(0, SQUARE, 16):
            source = weights + (task * SQUARE + line) * row + channel * 2
            transpose_words(source, row, target + line * 4, SQUARE * 4)


@kernel
def pack_turned_weights(task, weights, channels, depth, packed):
    """64 columns of weights (out, in) for a product over `out`: [in / 64][out / 2][in % 64][out % 2]."""
    row = depth * 2
    for out in range(0, channels, 2):
        source, target = (
            weights + out * row + task * SQUARE * 2,
            packed + (task * channels + out) * SQUARE * 2,
        )
        for channel in range(0, SQUARE, 16):
            pair_rows(source + channel * 2, source + row + channel * 2, target + channel * 4)


@kernel
def multiply(task, tasks, x, rows, depth, packed, bias, target, channels):
    """Write a share of the rows of x @ weights + bias, by weights packed for it; the bias is float32."""
    buffer = np.empty(HIGH * SQUARE + 16, np.float32)
    sums = np.int64(buffer.ctypes.data)
    sums += -sums % LINE
    row, wide = depth * 2, SQUARE * 4
    blocks = -(-rows // HIGH)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * HIGH
        count = min(HIGH, rows - first)
        even = count - count % HEIGHT
        for channel in range(0, channels, SQUARE):
            right = packed + channel * row
            for line in range(0, even, HEIGHT):
                a, c = x + (first + line) * row, sums + line * wide
                multiply_strip(a, row, 4, right, wide, c, wide, depth // 2, ROWS, VECTORS, BITS)
            for line in range(even, count):
                a, c = x + (first + line) * row, sums + line * wide
                multiply_strip(a, row, 4, right, wide, c, wide, depth // 2, ROW, VECTORS, BITS)
            for line in range(count):
                y = target + ((first + line) * channels + channel) * 2
                for lane in range(0, SQUARE, 16):
                    convert_sum(sums + line * wide + lane * 4, bias + (channel + lane) * 4, y + lane * 2)
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def _pack(source, row, first, rows, width, nowhere, target):
    """Pairs of DEEP rows from `first` on, zeros beyond the last: [width / 64][row / 2][64][2]."""
    for line in range(0, DEEP, 2):
        low = source + (first + line) * row if first + line < rows else nowhere
        high = source + (first + line + 1) * row if first + line + 1 < rows else nowhere
        for channel in range(0, width, 16):
            place = target + (channel // SQUARE * DEEP + line) * SQUARE * 2 + channel % SQUARE * 4
            pair_rows(low + channel * 2, high + channel * 2, place)
        for byte in range(0, width * 2, LINE):  # of the next DEEP rows
            prefetch(low + DEEP * row + byte)
            prefetch(high + DEEP * row + byte)


@kernel
def weight_gradient(task, x, rows, depth, dy, channels, wide, deep, d_weight, d_bias):
    """Write dy.T @ x to `d_weight` (out, in), for `wide` x `deep` of them, and the sums of dy to `d_bias`.

    Gradients are float32. Every sum runs over rows in order, whatever the rectangles.
    """
    across = -(-depth // deep)
    first_out, first_in = task // across * wide, task % across * deep
    outs, ins = min(wide, channels - first_out), min(deep, depth - first_in)
    nothing, totals = np.zeros(max(outs, ins), np.uint16), np.zeros(outs, np.float32)
    nowhere = np.int64(nothing.ctypes.data)
    buffer = np.empty((outs + ins) * DEEP * 2 + LINE, np.uint8)
    left = np.int64(buffer.ctypes.data)
    left += -left % LINE
    right = left + outs * DEEP * 2
    row, out_row, square = depth * 2, channels * 2, DEEP * SQUARE * 2
    corner = d_weight + (first_out * depth + first_in) * 4
    for first in range(0, rows, DEEP):
        _pack(x + first_in * 2, row, first, rows, ins, nowhere, right)
        _pack(dy + first_out * 2, out_row, first, rows, outs, nowhere, left)
        if first_in == 0:
            for channel in range(0, outs, 16):
                slopes = dy + first * out_row + (first_out + channel) * 2
                add_rows(slopes, out_row, min(DEEP, rows - first), np.int64(totals.ctypes.data) + channel * 4)
        for out in range(outs // SQUARE):
            for channel in range(ins // SQUARE):
                c = corner + (out * SQUARE * depth + channel * SQUARE) * 4
                add_square(left + out * square, right + channel * square, c, depth * 4, DEEP // 2)
    if first_in == 0:
        for channel in range(0, outs, 16):
            target = d_bias + (first_out + channel) * 4
            copy_row(np.int64(totals.ctypes.data) + channel * 4, target, FLOAT, LANES)
    nothing[0] = buffer[0] + totals[0]  # uses, as above
