"""Matrix products whose sums stay in vector registers: float32 on any CPU, bfloat16 with AVX512-BF16.

The contraction goes by words of four bytes: one float32, or a pair of bfloat16, of which AVX512-BF16 adds
both products to a float32. Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication, 2008.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import overload

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.llvm import (
    FLOAT,
    INT32,
    LANES,
    WORDS,
    instruction,
    load,
    multiply_add,
    offset,
    splat,
    store,
)
from triptych.kernels.registry import supports

ONE, TWO, FOUR, SIX, EIGHT, SIXTEEN = ((0,) * count for count in (1, 2, 4, 6, 8, 16))
# Rows by vectors of a micro-kernel: 24 sums of 16 numbers where there are 32 registers of that size, as many
# as one word of the left matrix per sum can feed; 12 sums of 8 in AVX2's 16 registers.
FLOAT32_ROWS = (0,) * (12 if supports("avx512f") else 6)


@instruction()
def micro_kernel(builder, kinds, a, a_row, a_word, b, b_row, c, c_row, words, add, rows, vectors, like):
    """As `multiply`, for len(rows) x 16 len(vectors) sums, which are held in registers."""
    height, width, like = kinds[9].count, kinds[10].count, kinds[11]
    word, line = (FLOAT, LANES) if like == types.float32 else (INT32, WORDS)
    targets = []
    for _row in range(height):
        targets += [offset(builder, c, 64 * vector) for vector in range(width)]
        c = builder.add(c, c_row)
    sums = [cgutils.alloca_once(builder, LANES) for _ in targets]
    with builder.if_else(builder.icmp_signed("!=", add, ir.Constant(add.type, 0))) as (then, otherwise):
        with then:
            for target, total in zip(targets, sums, strict=True):
                builder.store(load(builder, target, LANES), total)
        with otherwise:
            for total in sums:
                builder.store(ir.Constant(LANES, [0.0] * 16), total)
    with cgutils.for_range(builder, words, intp=words.type) as loop:
        below = builder.add(b, builder.mul(loop.index, b_row))
        right = [load(builder, offset(builder, below, 64 * vector), line) for vector in range(width)]
        left = builder.add(a, builder.mul(loop.index, a_word))
        for row in range(height):
            factor = splat(builder, load(builder, left, word))
            for total, numbers in zip(sums[row * width :], right, strict=False):
                builder.store(multiply_add(builder, factor, numbers, builder.load(total)), total)
            left = builder.add(left, a_row)
    for target, total in zip(targets, sums, strict=True):
        store(builder, builder.load(total), target, 4)


@kernel
def _panel(a, a_row, a_word, b, b_row, c, c_row, rows, words, add, tall, vectors, like):
    """All rows of 16 len(vectors) columns, len(tall) at a time."""
    row, height = 0, len(tall)
    while row + height <= rows:
        at = a + row * a_row, c + row * c_row
        micro_kernel(at[0], a_row, a_word, b, b_row, at[1], c_row, words, add, tall, vectors, like)
        row += height
    while row + 4 <= rows:
        at = a + row * a_row, c + row * c_row
        micro_kernel(at[0], a_row, a_word, b, b_row, at[1], c_row, words, add, FOUR, vectors, like)
        row += 4
    while row < rows:
        at = a + row * a_row, c + row * c_row
        micro_kernel(at[0], a_row, a_word, b, b_row, at[1], c_row, words, add, ONE, vectors, like)
        row += 1


@kernel
def multiply_bfloat16(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    """`gemm.multiply` of bfloat16."""
    a, b, c = np.int64(a), np.int64(b), np.int64(c)  # Numba makes float64 of signed and unsigned together
    column = 0
    while column + 64 <= columns:
        at = b + column * 4, c + column * 4
        _panel(a, a_row, a_word, at[0], b_row, at[1], c_row, rows, words, add, SIX, FOUR, like)
        column += 64
    while column + 32 <= columns:
        at = b + column * 4, c + column * 4
        _panel(a, a_row, a_word, at[0], b_row, at[1], c_row, rows, words, add, EIGHT, TWO, like)
        column += 32
    while column < columns:
        at = b + column * 4, c + column * 4
        _panel(a, a_row, a_word, at[0], b_row, at[1], c_row, rows, words, add, SIXTEEN, ONE, like)
        column += 16


@kernel
def multiply_float32(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    """`gemm.multiply` of float32."""
    a, b, c = np.int64(a), np.int64(b), np.int64(c)
    for column in range(0, columns, 16):
        at = b + column * 4, c + column * 4
        _panel(a, a_row, a_word, at[0], b_row, at[1], c_row, rows, words, add, FLOAT32_ROWS, ONE, like)


def multiply(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    """`gemm.multiply` without AMX: `a_word` may be any distance, and rows any number."""


@overload(multiply, inline="never")
def _multiply(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
    product = multiply_float32 if like == types.float32 else multiply_bfloat16

    def call(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like):
        product(a, a_row, a_word, b, b_row, c, c_row, rows, columns, words, add, like)

    return call
