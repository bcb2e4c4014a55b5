"""What `tile_products` does, by AVX512-BF16's products of pairs; only with AVX512-BF16."""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import pair_rows, transpose_words
from triptych.kernels.gemm.avx512_bf16 import BITS
from triptych.kernels.gemm.registers import multiply_strip

DEPTH = 2  # a sum is over a multiple of this
# 16 sums of 16 numbers
ROWS, VECTORS = (0,) * 8, (0,) * 2
TALL_ROWS, VECTOR = (0,) * 16, (0,)


@kernel
def begin():
    """Nothing is to be prepared."""


@kernel
def turn_words(source, target):
    """Rows (n, k) as the right-hand side of a product over k: [k / 2][n][2]."""
    rows, columns = source.shape
    for column in range(0, columns, 32):
        for row in range(0, rows, 16):
            place = target.ctypes.data + column // 2 * rows * 4 + row * 4
            transpose_words(source.ctypes.data + (row * columns + column) * 2, columns * 2, place, rows * 4)


@kernel
def pair(source, columns, target):
    """Rows (k, n) as the right-hand side of a product over k, n < columns: [k / 2][n][2]."""
    rows, distance = source.shape[0], source.shape[1] * 2
    for row in range(0, rows, 2):
        line, place = source.ctypes.data + row * distance, target.ctypes.data + row // 2 * columns * 4
        for column in range(0, columns, 16):
            pair_rows(line + column * 2, line + distance + column * 2, place + column * 4)


@kernel
def multiply(left, right, out, rows, depth):
    """Write `rows` rows, or some more, of left @ right to `out`, which is float32.

    `right` comes from `turn_words` or `pair`; the sum goes over `depth`, a multiple of DEPTH.
    """
    columns, depth = out.shape[1], depth // 2
    a_row, row_out = left.shape[1] * 2, columns * 4
    a, b, c = np.int64(left.ctypes.data), np.int64(right.ctypes.data), np.int64(out.ctypes.data)
    even = columns // 32 * 32
    for column in range(0, even, 32):
        for row in range(0, rows, 8):
            at = c + row * row_out + column * 4
            multiply_strip(
                a + row * a_row, a_row, 4, b + column * 4, row_out, at, row_out, depth, ROWS, VECTORS, BITS
            )
    if even < columns:
        for row in range(0, rows, 16):
            at = c + row * row_out + even * 4
            multiply_strip(
                a + row * a_row, a_row, 4, b + even * 4, row_out, at, row_out, depth, TALL_ROWS, VECTOR, BITS
            )
