"""Matrix products of compiled kernels: one interface to all tiers.

    multiply(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like)

writes c = a @ b, or adds it to c. Matrices are given by addresses, which are integers, and by distances in
bytes; nothing is bounds-checked. `like` is a number of the type of a and b, float32 or uint16 for bfloat16; c
is float32. The contraction goes by words of four bytes: one float32, or a pair of bfloat16.

- a: `a_row` bytes from one row to the next, `a_word` bytes from one word to the next.
- b: `b_row` bytes from the words of one k, or pair of k, to the next; words of neighbouring columns are
  neighbours: [k][n], or [k / 2][n][2]. `pack_rows` and `pack_columns` bring bfloat16 there.
- c: `c_row` bytes from one row to the next.

Every sum runs over the contraction in order, so results do not depend on how matrices are cut. Columns come
in multiples of 16. With AMX, `a_word` is 4, the contraction comes in multiples of `DEPTH` numbers, and rows
are rounded up to a multiple of 16; call `begin` in every task.
"""

from numba import types
from numba.extending import overload

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import pair_rows, transpose_pairs, transpose_words
from triptych.kernels.gemm import amx, vector
from triptych.kernels.registry import supports

AMX = supports("amx_bf16")
DEPTH = 32 if AMX else 2
PANEL = 32 if AMX else 64  # columns whose sums a core's registers hold


@kernel
def begin():
    """Prepare this thread for products."""
    if AMX:
        amx.begin()


def multiply(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    """Write a @ b to c, or add it; see above for the arguments."""


@overload(multiply, inline="never")
def _multiply(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    product = amx.multiply_bfloat16 if AMX and like == types.uint16 else vector.multiply

    def call(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
        product(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like)

    return call


@kernel
def pack_rows(source, row, depth, columns, target, target_row):
    """The right matrix from its rows, (k, n) bfloat16, `row` bytes apart: `b_row` is `target_row`."""
    for k in range(0, depth, 2):
        line, place = source + k * row, target + k // 2 * target_row
        for column in range(0, columns, 16):
            pair_rows(line + column * 2, line + row + column * 2, place + column * 4)


@kernel
def pack_columns(source, row, depth, columns, target, target_row):
    """The right matrix from its columns, (n, k) bfloat16, `row` bytes apart; depth is a multiple of 32."""
    for column in range(0, columns, 16):
        for k in range(0, depth, 32):
            place = target + k // 2 * target_row + column * 4
            transpose_words(source + column * row + k * 2, row, place, target_row)


@kernel
def transposed_size(depth, rows):
    """Bytes that `pack_transposed` fills, rounded up to cache lines."""
    return rows * (depth * 2 + 64)


@kernel
def pack_transposed(source, row, depth, rows, target):
    """The left matrix from rows of its transpose, (k, m) bfloat16; returns its `a_row` and `a_word`."""
    if not AMX:
        pack_rows(source, row, depth, rows, target, rows * 4)
        return 4, rows * 4
    target_row = depth * 2 + 64  # a power of two would bring rows into the same sets of the cache
    for m in range(0, rows, 16):
        for k in range(0, depth, 32):
            transpose_pairs(source + k * row + m * 2, row, target + m * target_row + k * 2, target_row)
    return target_row, 4
