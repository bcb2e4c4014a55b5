"""Products of matrices of a head's size on the CPU's bfloat16 tiles; only with AMX.

Matrices are arrays, bfloat16 seen as uint16. What is contracted comes in multiples of 32, the rest of 16.
"""

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import pair_rows, transpose_words
from triptych.kernels.gemm.amx_instructions import (
    CONFIGURATION,
    TILE,
    tile_configure,
    tile_load,
    tile_multiply,
    tile_store,
    tile_zero,
)

DEPTH = 32  # a sum is over a multiple of this


@kernel
def begin():
    """Prepare this thread for the products below."""
    tile_configure(CONFIGURATION.ctypes.data)


@kernel
def turn_words(source, target):
    """Rows (n, k) as the right-hand side of a product over k: blocks [k / 32][n / 16]."""
    rows, columns = source.shape
    place = target.ctypes.data
    for column in range(0, columns, 32):
        for row in range(0, rows, 16):
            transpose_words(source.ctypes.data + (row * columns + column) * 2, columns * 2, place, 64)
            place += TILE


@kernel
def pair(source, columns, target):
    """Rows (k, n) as the right-hand side of a product over k, n < columns: blocks [k / 32][n / 16]."""
    rows, distance = source.shape[0], source.shape[1] * 2
    across = columns // 16
    for row in range(0, rows, 2):
        for block in range(across):
            line = source.ctypes.data + row * distance + block * 32
            place = (row // 32 * across + block) * TILE + row % 32 * 32
            pair_rows(line, line + distance, target.ctypes.data + place)


@kernel
def multiply(left, right, out, rows, depth):
    """Write `rows` rows, or some more, of left @ right to `out`, which is float32.

    `right` comes from `turn_words` or `pair`; the sum goes over `depth`, a multiple of DEPTH.
    """
    columns = out.shape[1]
    line, row_out = left.shape[1] * 2, columns * 4
    across = columns // 16 * TILE
    for row in range(0, rows, 32):
        tall = row + 16 < rows
        for column in range(0, columns, 32):
            wide = column + 16 < columns
            tile_zero(0)
            tile_zero(1)
            tile_zero(2)
            tile_zero(3)
            a = left.ctypes.data + row * line
            b = right.ctypes.data + column // 16 * TILE
            for _k in range(depth // DEPTH):
                tile_load(4, a, line)
                tile_load(6, b, 64)
                tile_multiply(0, 4, 6)
                if tall:
                    tile_load(5, a + 16 * line, line)
                    tile_multiply(2, 5, 6)
                if wide:
                    tile_load(7, b + TILE, 64)
                    tile_multiply(1, 4, 7)
                    if tall:
                        tile_multiply(3, 5, 7)
                a += 64
                b += across
            c = out.ctypes.data + row * row_out + column * 4
            tile_store(0, c, row_out)
            if wide:
                tile_store(1, c + 64, row_out)
            if tall:
                tile_store(2, c + 16 * row_out, row_out)
                if wide:
                    tile_store(3, c + 16 * row_out + 64, row_out)
