"""Products of 32 x 32 parts of bfloat16 matrices on AMX tiles; only with AMX."""

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.gemm.amx_instructions import (
    CONFIGURATION,
    tile_configure,
    tile_load,
    tile_multiply,
    tile_store,
    tile_zero,
)


@kernel
def begin_parts():
    """Prepare this thread: tiles have a shape."""
    tile_configure(CONFIGURATION.ctypes.data)


@kernel
def multiply_part(left, left_bytes, depth, right, right_bytes, out, out_bytes, wide):
    """Write left @ right for 32 rows and 16 columns, or 32 if `wide`.

    Args:
        left, right, out: addresses; `right` holds pairs of rows (see `matmul.pack`).
        left_bytes, right_bytes, out_bytes: from one row, or pair of rows, to the next.
        depth: numbers to sum over, a multiple of 32.
        wide: whether there are 32 columns.
    """
    tile_zero(0)
    tile_zero(1)
    if wide:
        tile_zero(2)
        tile_zero(3)
    for k in range(0, depth, 32):
        below = right + k // 2 * right_bytes
        tile_load(4, left + k * 2, left_bytes)
        tile_load(5, left + 16 * left_bytes + k * 2, left_bytes)
        tile_load(6, below, right_bytes)
        tile_multiply(0, 4, 6)
        tile_multiply(1, 5, 6)
        if wide:
            tile_load(7, below + 64, right_bytes)
            tile_multiply(2, 4, 7)
            tile_multiply(3, 5, 7)
    tile_store(0, out, out_bytes)
    tile_store(1, out + 16 * out_bytes, out_bytes)
    if wide:
        tile_store(2, out + 64, out_bytes)
        tile_store(3, out + 16 * out_bytes + 64, out_bytes)


@kernel
def add_part(left, left_bytes, depth, right, right_bytes, out, out_bytes, tall):
    """Add left @ right for 32 columns and 16 rows, or 32 if `tall`; arguments as of `multiply_part`."""
    tile_load(0, out, out_bytes)
    tile_load(1, out + 64, out_bytes)
    if tall:
        tile_load(2, out + 16 * out_bytes, out_bytes)
        tile_load(3, out + 16 * out_bytes + 64, out_bytes)
    for k in range(0, depth, 32):
        below = right + k // 2 * right_bytes
        tile_load(6, below, right_bytes)
        tile_load(7, below + 64, right_bytes)
        tile_load(4, left + k * 2, left_bytes)
        tile_multiply(0, 4, 6)
        tile_multiply(1, 4, 7)
        if tall:
            tile_load(5, left + 16 * left_bytes + k * 2, left_bytes)
            tile_multiply(2, 5, 6)
            tile_multiply(3, 5, 7)
    tile_store(0, out, out_bytes)
    tile_store(1, out + 64, out_bytes)
    if tall:
        tile_store(2, out + 16 * out_bytes, out_bytes)
        tile_store(3, out + 16 * out_bytes + 64, out_bytes)
