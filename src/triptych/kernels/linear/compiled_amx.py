"""The gradient of a linear layer's weights in bfloat16 on the CPU's tile registers.

The contraction over thousands of rows is what libraries are slow at: both operands lie across it. Here a
task owns a rectangle of the weights and takes a few hundred rows at a time, packed so that they stay in its
core's second-level cache while all its sums use them. Memory is read once for each rectangle, and no
packed copy of a whole operand is written to it.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import pair_rows, transpose_pairs, widen
from triptych.kernels.gemm.amx import accumulate, begin_sums, end_sums
from triptych.kernels.gemm.amx_instructions import CONFIGURATION, TILE, tile_configure

BLOCK = 32  # rows and channels come in multiples of this
ROWS = 256  # at a time
LONG = (
    ROWS // BLOCK * 2 * TILE + 192
)  # bytes of 32 channels of them; places a power of two apart would collide


@kernel
def weight_gradient(task, x, dy, wide, deep, d_weight, d_bias):
    """Write dy.T @ x to `d_weight` (out, in), for `wide` x `deep` of them, and the sums of dy to `d_bias`.

    x (rows, in) and dy (rows, out) are bfloat16 seen as uint16, the gradients float32. Every sum runs
    over rows in order, whatever the rectangles.
    """
    tile_configure(CONFIGURATION.ctypes.data)
    rows, channels_in = x.shape
    channels_out = dy.shape[1]
    across = -(-channels_in // deep)
    first_out, first_in = task // across * wide, task % across * deep
    outs, ins = min(wide, channels_out - first_out), min(deep, channels_in - first_in)
    buffer = np.empty((outs + ins) // BLOCK * LONG + 64, np.uint8)
    left = buffer.ctypes.data
    left += -left % 64
    right = left + outs // BLOCK * LONG
    total = np.zeros(outs, np.float32)
    row_in, row_out = channels_in * 2, channels_out * 2
    for begin in range(0, rows, ROWS):
        count = min(ROWS, rows - begin) // BLOCK
        for block in range(count):
            first = begin + BLOCK * block
            line, place = dy.ctypes.data + first * row_out + first_out * 2, left + block * 2 * TILE
            for _ in range(outs // BLOCK):
                transpose_pairs(line, row_out, place, 64)
                transpose_pairs(line + 32, row_out, place + TILE, 64)
                line += 64
                place += LONG
            if first_in == 0:
                for row in range(first, first + BLOCK):
                    slope = dy[row][first_out : first_out + outs]
                    for channel in range(outs):
                        total[channel] += widen(slope[channel])
            for pair in range(16):
                line = x.ctypes.data + (first + 2 * pair) * row_in + first_in * 2
                place = right + block * 2 * TILE + pair * 64
                for _ in range(ins // BLOCK):
                    pair_rows(line, line + row_in, place)
                    pair_rows(line + 32, line + 32 + row_in, place + TILE)
                    line += 64
                    place += LONG
        for out in range(outs // BLOCK):
            for channel in range(ins // BLOCK):
                corner = d_weight.ctypes.data
                corner += ((first_out + BLOCK * out) * channels_in + first_in + BLOCK * channel) * 4
                begin_sums(corner, channels_in * 4, begin == 0)
                accumulate(left + out * LONG, right + channel * LONG, count, 2 * TILE)
                end_sums(corner, channels_in * 4)
    if first_in == 0:
        d_bias[first_out : first_out + outs] = total
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above
