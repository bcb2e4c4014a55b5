"""Products of a block of samples with small matrices, in float32 or bfloat16.

The type of the left array decides: float32, or uint16 holding bfloat16 bits. Sums are float32. Rows come in
multiples of 32; bfloat16 needs a contraction over a multiple of 32 numbers, and all else comes in multiples
of 16. `scratch` is a float32 array of ROWS numbers for each column, and for `accumulate` of half as many for
each row as both matrices have columns, and 32 more.
"""

import numpy as np
from numba import types
from numba.extending import overload

from triptych.kernels import gemm
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.memory import aligned
from triptych.kernels.compiler.vectors import convert_rectified, convert_where_positive

ROWS = 64  # whose product is converted while it is in the cache


def pack(matrix: np.ndarray, like: type) -> np.ndarray:
    """A right-hand matrix (k, n) of float32 as the products need it: (k, n), or (k / 2, 2 n) for bfloat16."""
    if like is np.float32:
        return aligned(matrix)
    bits = np.ascontiguousarray(matrix).view(np.int32).astype(np.int64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    depth, columns = matrix.shape
    return aligned(rounded.reshape(depth // 2, 2, columns).swapaxes(1, 2)).reshape(depth // 2, -1)


@kernel
def product(left, right, out):
    """Write left @ right to `out` in float32, where `right` has been packed."""
    row, columns = left.shape[1] * left.itemsize, out.shape[1]
    a, b, c, wide = left.ctypes.data, right.ctypes.data, out.ctypes.data, columns * 4
    gemm.multiply(a, row, 4, b, wide, c, wide, len(left), columns, row // 4, False, left[0, 0])


@kernel
def _converted_product(left, right, mask, masked, out, scratch):
    """A product, a few rows at a time, which are converted while they are in the cache."""
    row, columns, item = left.shape[1] * left.itemsize, out.shape[1], left.itemsize
    sums, wide, like = np.int64(scratch.ctypes.data), columns * 4, left[0, 0]
    source, target = np.int64(mask.ctypes.data), np.int64(out.ctypes.data)
    a, b = np.int64(left.ctypes.data), right.ctypes.data
    for first in range(0, len(left), ROWS):
        count = min(ROWS, len(left) - first)
        gemm.multiply(a + first * row, row, 4, b, wide, sums, wide, count, columns, row // 4, False, like)
        for number in range(0, count * columns, 16):
            place = (first * columns + number) * item
            if masked:
                convert_where_positive(sums + number * 4, source + place, target + place, like)
            else:
                convert_rectified(sums + number * 4, target + place, like)


@kernel
def rectified_product(left, right, out, scratch):
    """Write max(0, left @ right) to `out`, in the type of `left`."""
    _converted_product(left, right, out, False, out, scratch)


@kernel
def masked_product(left, right, mask, out, scratch):
    """Write left @ right, or 0 where `mask` is not positive, in the type of `left`."""
    _converted_product(left, right, mask, True, out, scratch)


@kernel
def _accumulate_float32(left, right, out, scratch):
    (samples, height), (rows, columns) = left.shape, out.shape
    a, b, c, wide = left.ctypes.data, right.ctypes.data, out.ctypes.data, columns * 4
    gemm.multiply(a, 4, height * 4, b, wide, c, wide, rows, columns, samples, True, left[0, 0])


@kernel
def _accumulate_bfloat16(left, right, out, scratch):
    (samples, height), (rows, columns) = left.shape, out.shape
    a, wide = np.int64(scratch.ctypes.data), columns * 4
    b = a + gemm.transposed_size(samples, rows)
    a_row, a_word = gemm.pack_transposed(np.int64(left.ctypes.data), height * 2, samples, rows, a)
    gemm.pack_rows(np.int64(right.ctypes.data), columns * 2, samples, columns, b, wide)
    c, words = out.ctypes.data, samples // 2
    gemm.multiply(a, a_row, a_word, b, wide, c, wide, rows, columns, words, True, left[0, 0])


def accumulate(left, right, out, scratch):
    """Add left.T @ right, over a block of samples, to `out`, which may have fewer rows than left columns."""


@overload(accumulate, inline="never")
def _accumulate(left, right, out, scratch):
    add = _accumulate_float32 if left.dtype == types.float32 else _accumulate_bfloat16
    return lambda left, right, out, scratch: add(left, right, out, scratch)
