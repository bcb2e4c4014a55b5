"""Sums of 32 x 32 float32 numbers on four tiles, over products of packed bfloat16 blocks.

A left block is 32 rows by 32 of the contraction, in two tiles; a right one 32 of the contraction by 32
columns, in two tiles of pairs of rows (see `tiles`). Addresses are integers. Only with AMX.
"""

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.gemm.amx_instructions import TILE, tile_load, tile_multiply, tile_store, tile_zero


@kernel
def begin_sums(corner, row, first):
    """Start from zero, or from what stands at `corner`, rows `row` bytes apart."""
    if first:
        tile_zero(0)
        tile_zero(1)
        tile_zero(2)
        tile_zero(3)
    else:
        tile_load(0, corner, row)
        tile_load(1, corner + 64, row)
        tile_load(2, corner + 16 * row, row)
        tile_load(3, corner + 16 * row + 64, row)


@kernel
def accumulate(left, right, count, step):
    """Add the products of `count` left blocks behind one another and right ones `step` bytes apart."""
    for _ in range(count):
        tile_load(4, left, 64)
        tile_load(6, right, 64)
        tile_multiply(0, 4, 6)
        tile_load(5, left + TILE, 64)
        tile_multiply(2, 5, 6)
        tile_load(7, right + TILE, 64)
        tile_multiply(1, 4, 7)
        tile_multiply(3, 5, 7)
        left += 2 * TILE
        right += step


@kernel
def end_sums(corner, row):
    """Store the sums at `corner`."""
    tile_store(0, corner, row)
    tile_store(1, corner + 64, row)
    tile_store(2, corner + 16 * row, row)
    tile_store(3, corner + 16 * row + 64, row)
