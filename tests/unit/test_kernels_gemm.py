"""Matrix products in registers: float32, and bfloat16 in the tier of this process."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from triptych.kernels import gemm
from triptych.kernels.compiler import arithmetic
from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.memory import aligned
from triptych.kernels.compiler.vectors import narrow
from triptych.kernels.gemm import vector
from triptych.kernels.radiance.matmul import accumulate, masked_product, pack, product, rectified_product

BIT, FLOAT = np.uint16(0), np.float32(0)


def rounded(values: NDArray[np.float32], dtype: type) -> tuple[NDArray[np.generic], NDArray[np.float32]]:
    """Values in an activation type, bfloat16 as uint16, and what they are worth."""
    if dtype is np.float32:
        return values, values
    half = torch.from_numpy(values).bfloat16()
    return half.view(torch.uint16).numpy(), half.float().numpy()


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


@kernel
def _multiply(left, right, packed, out, add):  # type: ignore[no-untyped-def]
    gemm.begin()
    depth, columns = right.shape
    gemm.pack_rows(right.ctypes.data, columns * 2, depth, columns, packed.ctypes.data, columns * 4)
    a, b, c = left.ctypes.data, packed.ctypes.data, out.ctypes.data
    wide, words = columns * 4, depth // 2
    gemm.multiply(a, depth * 2, 4, b, wide, c, wide, len(left), columns, words, add, BIT)


@kernel
def _multiply_by_columns(left, right, packed, out):  # type: ignore[no-untyped-def]
    gemm.begin()
    columns, depth = right.shape
    gemm.pack_columns(right.ctypes.data, depth * 2, depth, columns, packed.ctypes.data, columns * 4)
    a, b, c = left.ctypes.data, packed.ctypes.data, out.ctypes.data
    wide, words = columns * 4, depth // 2
    gemm.multiply(a, depth * 2, 4, b, wide, c, wide, len(left), columns, words, False, BIT)


@kernel
def _multiply_transposed(left, right, packed, buffer, out):  # type: ignore[no-untyped-def]
    gemm.begin()
    (depth, rows), columns = left.shape, right.shape[1]
    a_row, a_word = gemm.pack_transposed(left.ctypes.data, rows * 2, depth, rows, buffer.ctypes.data)
    gemm.pack_rows(right.ctypes.data, columns * 2, depth, columns, packed.ctypes.data, columns * 4)
    a, b, c = buffer.ctypes.data, packed.ctypes.data, out.ctypes.data
    wide, words = columns * 4, depth // 2
    gemm.multiply(a, a_row, a_word, b, wide, c, wide, rows, columns, words, False, BIT)


@pytest.mark.parametrize(
    ("rows", "columns", "depth"), [(16, 16, 32), (48, 64, 64), (80, 112, 96), (32, 160, 32)]
)
def test_products_of_bfloat16(rows: int, columns: int, depth: int) -> None:
    left, left_worth = rounded(draw(rows, depth), np.uint16)
    right, right_worth = rounded(draw(depth, columns, seed=1), np.uint16)
    packed, buffer = np.zeros((depth, columns), np.uint16), np.zeros((2 * depth + 64) * rows, np.uint8)
    expected = left_worth @ right_worth
    out = np.full((rows + 1, columns), 7, np.float32)
    _multiply(left, right, packed, out[:rows], False)
    assert np.allclose(out[:rows], expected, atol=1e-4)
    _multiply(left, right, packed, out[:rows], True)
    assert np.allclose(out[:rows], 2 * expected, atol=1e-4)
    assert (out[rows] == 7).all()
    by_columns, transposed = np.empty((2, rows, columns), np.float32)
    _multiply_by_columns(left, np.ascontiguousarray(right.T), packed, by_columns)
    _multiply_transposed(np.ascontiguousarray(left.T), right, packed, buffer, transposed)
    assert np.array_equal(by_columns, transposed) and np.allclose(by_columns, expected, atol=1e-4)


@kernel
def _multiply_in_vectors(left, right, out, words, like):  # type: ignore[no-untyped-def]
    a, b, c = left.ctypes.data, right.ctypes.data, out.ctypes.data
    row, wide = left.shape[1] * left.itemsize, out.shape[1] * 4
    vector.multiply(a, row, 4, b, wide, c, wide, len(left), out.shape[1], words, False, like)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize(("rows", "columns"), [(1, 16), (11, 48), (23, 112)])
def test_vectors_multiply_any_number_of_rows(dtype: type, rows: int, columns: int) -> None:
    left, left_worth = rounded(draw(rows, 10), dtype)
    right = draw(10, columns, seed=1)
    out = np.full((rows + 1, columns), 7, np.float32)
    words = 10 * np.dtype(dtype).itemsize // 4
    _multiply_in_vectors(left, pack(right, dtype), out[:rows], words, dtype(0))
    assert np.allclose(out[:rows], left_worth @ rounded(right, dtype)[1], atol=1e-4)
    assert (out[rows] == 7).all()


@kernel
def _multiply_blocks(left, right, mask, plain, rectified, masked, total, scratch):  # type: ignore[no-untyped-def]
    gemm.begin()
    product(left, right, plain)
    rectified_product(left, right, rectified, scratch)
    masked_product(left, right, mask, masked, scratch)
    accumulate(left, mask, total, scratch)


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize(("depth", "columns"), [(32, 64), (64, 32), (96, 64)])
def test_products_of_blocks_of_samples(dtype: type, depth: int, columns: int) -> None:
    left, left_worth = rounded(draw(96, depth), dtype)
    weights, mask = draw(depth, columns, seed=1), rounded(draw(96, columns, seed=2), dtype)
    plain, total = np.empty((96, columns), np.float32), np.ones((depth, columns), np.float32)
    rectified, masked = np.empty((96, columns), dtype), np.empty((96, columns), dtype)
    outputs, scratch = (plain, rectified, masked, total), np.empty((96, 96), np.float32)
    _multiply_blocks(left, pack(weights, dtype), mask[0], *outputs, scratch)
    assert np.allclose(plain, left_worth @ rounded(weights, dtype)[1], atol=1e-4)
    assert np.array_equal(rectified, rounded(np.where(plain > 0, plain, 0), dtype)[0])
    assert np.array_equal(masked, rounded(np.where(mask[1] > 0, plain, 0), dtype)[0])
    assert np.allclose(total, 1 + left_worth.T @ mask[1], atol=1e-3)


@kernel
def _elementwise(values, exponentials, sigmoids, narrowed):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        exponentials[i] = arithmetic.exponential(values[i])
        sigmoids[i] = arithmetic.sigmoid(values[i])
        narrowed[i] = narrow(values[i])


def test_exponential_and_sigmoid_are_exact_to_a_few_units_in_the_last_place() -> None:
    values = np.linspace(-86, 87, 100_001).astype(np.float32)
    values[:4] = -0.0, np.inf, -np.inf, np.nan  # conversions know them
    exponentials, sigmoids = np.empty_like(values), np.empty_like(values)
    narrowed = np.empty(len(values), np.uint16)
    _elementwise(values, exponentials, sigmoids, narrowed)
    exact = np.exp(values[4:].astype(np.float64))
    assert np.abs(exponentials[4:] / exact - 1).max() < 3e-7
    assert np.abs(sigmoids[4:] - exact / (1 + exact)).max() < 2e-7
    bits, worth = rounded(values, np.uint16)
    assert np.array_equal(narrowed[:3], bits[:3]) and np.array_equal(narrowed[4:], bits[4:])
    assert np.isnan(worth[3]) and narrowed[3] & 0x7FFF > 0x7F80


def test_arrays_begin_at_a_cache_line() -> None:
    values = draw(3, 5)
    copy = aligned(values)
    assert copy.ctypes.data % 64 == 0 and np.array_equal(copy, values) and copy.shape == values.shape
