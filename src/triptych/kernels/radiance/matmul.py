"""Products of a block of samples with small matrices: float32 on any CPU, bfloat16 on tiles or by pairs.

The type of the left array decides: float32, or uint16 holding bfloat16 bits. Sums are float32.
Rows come in multiples of 32; bfloat16 needs a contraction over a multiple of 32 numbers, and all
else comes in multiples of 16. `scratch` is a float32 array of 1024 numbers, and for
`accumulate` of half as many for each row as both matrices have columns.
"""

import numpy as np
from numba import types
from numba.extending import overload

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import (
    convert_rectified,
    convert_where_positive,
    pair_rows,
    transpose_pairs,
)
from triptych.kernels.gemm.registers import add_strip, multiply_strip
from triptych.kernels.registry import supports

if supports("amx_bf16"):
    from triptych.kernels.radiance.matmul_amx import add_part, begin_parts, multiply_part
else:
    from triptych.kernels.radiance.matmul_avx512_bf16 import add_part, begin_parts, multiply_part

ZERO, LINE = np.float32(0), 64
SIXTEEN, ONE = (0,) * 16, (0,)
# Rows of a strip: as many sums as hide the time that a product takes, and the CPU has registers for.
ROWS = (0,) * (16 if supports("avx512f") else 4)
NUMBERS = np.empty(0, np.float32)  # a type


def aligned(values: np.ndarray) -> np.ndarray:
    """A copy that begins at a cache line: tiles are loaded a line at a time."""
    buffer = np.empty(values.nbytes + LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    copy: np.ndarray = buffer[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


@kernel
def matrix(rows, columns, like):
    """A matrix of the type of the array `like`, `aligned`, of arbitrary content."""
    size = rows * columns * like.itemsize
    buffer = np.empty(size + LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    return buffer[start : start + size].view(like.dtype).reshape((rows, columns))


def pack(matrix: np.ndarray, like: type) -> np.ndarray:
    """A right-hand matrix (k, n) in the layout that `product` wants: (k, n), or (k / 2, 2 n) for bfloat16.

    Args:
        matrix: (k, n) float32.
        like: np.float32, or np.uint16 for bfloat16.
    """
    if like is np.float32:
        return aligned(matrix)
    bits = np.ascontiguousarray(matrix).view(np.int32).astype(np.int64)
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    depth, columns = matrix.shape
    return aligned(rounded.reshape(depth // 2, 2, columns).swapaxes(1, 2)).reshape(depth // 2, -1)


def begin(activations):
    """Prepare this thread for products of this array's type: tiles have a shape."""


@overload(begin, inline="never")
def _begin(activations):
    if activations.dtype == types.float32:
        return lambda activations: None
    return lambda activations: begin_parts()


@kernel
def _product_float32(left, right, out):
    rows, depth = left.shape
    columns = out.shape[1]
    for row in range(0, rows, len(ROWS)):
        a = left.ctypes.data + row * depth * 4
        for column in range(0, columns, 16):
            b = right.ctypes.data + column * 4
            c = out.ctypes.data + (row * columns + column) * 4
            multiply_strip(a, depth * 4, 4, b, columns * 4, c, columns * 4, depth, ROWS, ONE, ZERO)


@kernel
def _whole_product_bfloat16(left, right, out):
    rows, depth = left.shape
    columns = out.shape[1]
    for row in range(0, rows, 32):
        for column in range(0, columns, 32):
            multiply_part(
                left.ctypes.data + row * depth * 2,
                depth * 2,
                depth,
                right.ctypes.data + column * 4,
                columns * 4,
                out.ctypes.data + (row * columns + column) * 4,
                columns * 4,
                column + 16 < columns,
            )


@kernel
def _masked_product_bfloat16(left, right, mask, masked, out, scratch):
    """As `_whole_product_bfloat16`, a 32 x 32 part at a time, which is converted while it is in the cache."""
    rows, depth = left.shape
    columns = out.shape[1]
    part = scratch.ctypes.data
    like = out[0, 0]
    for row in range(0, rows, 32):
        for column in range(0, columns, 32):
            multiply_part(
                left.ctypes.data + row * depth * 2,
                depth * 2,
                depth,
                right.ctypes.data + column * 4,
                columns * 4,
                part,
                128,
                True,
            )
            offset = (row * columns + column) * 2
            for line in range(32):
                for half in range(2):
                    place = offset + line * columns * 2 + half * 32
                    source = part + line * 128 + half * 64
                    if masked:
                        convert_where_positive(
                            source, mask.ctypes.data + place, out.ctypes.data + place, like
                        )
                    else:
                        convert_rectified(source, out.ctypes.data + place, like)


@kernel
def _masked_product_float32(left, right, mask, masked, out):
    _product_float32(left, right, out)
    like = out[0, 0]
    for place in range(0, out.size * 4, 64):
        target = out.ctypes.data + place
        if masked:
            convert_where_positive(target, mask.ctypes.data + place, target, like)
        else:
            convert_rectified(target, target, like)


def product(left, right, out):
    """Write left @ right to `out` in float32, where `right` has been packed."""


def rectified_product(left, right, out, scratch):
    """Write max(0, left @ right) to `out`, in the type of `left`; columns come in multiples of 32."""


def masked_product(left, right, mask, out, scratch):
    """Write left @ right, or 0 where `mask` is not positive, in the type of `left`; columns as above."""


@overload(product, inline="never")
def _product(left, right, out):
    if left.dtype == types.float32:
        return lambda left, right, out: _product_float32(left, right, out)
    return lambda left, right, out: _whole_product_bfloat16(left, right, out)


@overload(rectified_product, inline="never")
def _rectified_product(left, right, out, scratch):
    if left.dtype == types.float32:
        return lambda left, right, out, scratch: _masked_product_float32(left, right, out, False, out)
    return lambda left, right, out, scratch: _masked_product_bfloat16(left, right, out, False, out, scratch)


@overload(masked_product, inline="never")
def _masked_product(left, right, mask, out, scratch):
    if left.dtype == types.float32:
        return lambda left, right, mask, out, scratch: _masked_product_float32(left, right, mask, True, out)
    return lambda left, right, mask, out, scratch: _masked_product_bfloat16(
        left, right, mask, True, out, scratch
    )


@kernel
def _accumulate_float32(left, right, out):
    samples, columns = right.shape
    height = left.shape[1]
    for row in range(0, out.shape[0], len(ROWS)):
        a = left.ctypes.data + row * 4
        for column in range(0, columns, 16):
            b = right.ctypes.data + column * 4
            c = out.ctypes.data + (row * columns + column) * 4
            add_strip(a, 4, height * 4, b, columns * 4, c, columns * 4, samples, ROWS, ONE, ZERO)


@kernel
def _accumulate_bfloat16(left, right, out, scratch):
    samples = left.shape[0]
    height, columns = out.shape
    # left turned so that a row holds a column's samples, right in pairs of samples
    turned = scratch.ctypes.data
    pairs = turned + height * samples * 2
    for sample in range(0, samples, 32):
        for row in range(0, height, 16):
            transpose_pairs(
                left.ctypes.data + (sample * left.shape[1] + row) * 2,
                left.shape[1] * 2,
                turned + (row * samples + sample) * 2,
                samples * 2,
            )
    for sample in range(0, samples, 2):
        source = right.ctypes.data + sample * columns * 2
        for column in range(0, columns, 16):
            pair_rows(
                source + column * 2,
                source + (columns + column) * 2,
                pairs + (sample // 2 * columns + column) * 4,
            )
    stride = columns * 4
    for row in range(0, height, 32):
        for column in range(0, columns, 32):
            add_part(
                turned + row * samples * 2,
                samples * 2,
                samples,
                pairs + column * 4,
                stride,
                out.ctypes.data + row * stride + column * 4,
                stride,
                row + 16 < height,
            )


def accumulate(left, right, out, scratch):
    """Add left.T @ right, over a block of samples, to `out`, which may have fewer rows than left columns."""


@overload(accumulate, inline="never")
def _accumulate(left, right, out, scratch):
    if left.dtype == types.float32:
        return lambda left, right, out, scratch: _accumulate_float32(left, right, out)
    return lambda left, right, out, scratch: _accumulate_bfloat16(left, right, out, scratch)
