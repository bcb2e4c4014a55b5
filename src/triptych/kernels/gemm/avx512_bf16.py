"""Sums of 64 x 64 float32 numbers over products of pairs of bfloat16; only with AVX512-BF16.

Both sides lie as the contraction's pairs: word k of column n is the pair at 4 (64 k + n) bytes.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.gemm.registers import add_strip

SQUARE = 64  # columns of either side
BITS = np.uint16(0)  # a type
# 24 sums of 16 numbers in the 32 registers there are; 64 rows are ten times 6 and once 4
ROWS, FEW_ROWS, VECTORS = (0,) * 6, (0,) * 4, (0,) * 4
HEIGHT = len(ROWS)


@kernel
def add_square(left, right, out, row, depth):
    """Add left.T @ right to float32 sums, rows `row` bytes apart, for `depth` pairs."""
    for line in range(0, SQUARE - 4, HEIGHT):
        a, c = left + line * 4, out + line * row
        add_strip(a, 4, SQUARE * 4, right, SQUARE * 4, c, row, depth, ROWS, VECTORS, BITS)
    line = SQUARE - 4
    a, c = left + line * 4, out + line * row
    add_strip(a, 4, SQUARE * 4, right, SQUARE * 4, c, row, depth, FEW_ROWS, VECTORS, BITS)
