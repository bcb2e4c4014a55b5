"""Pieces that kernels' own instructions are built from, as LLVM's builder takes them."""

from typing import Any

from llvmlite import ir
from numba import types

HALF, INT32, FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


def pointer(builder: Any, address: Any, element: Any) -> Any:
    """An address, which kernels hold as an integer, as a pointer to `element`."""
    return builder.inttoptr(address, element.as_pointer())


def load(builder: Any, address: Any, element: Any, align: int = 4) -> Any:
    """What lies at an address."""
    return builder.load(pointer(builder, address, element), align=align)


def offset(builder: Any, address: Any, bytes_: int) -> Any:
    """An address some bytes further on."""
    return builder.add(address, ir.Constant(address.type, bytes_))


def splat(builder: Any, value: Any, count: int) -> Any:
    """A vector of `count` times the same value."""
    vector = ir.VectorType(value.type, count)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(INT32, 0))
    zeros = ir.Constant(ir.VectorType(INT32, count), [0] * count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


class Bfloat16(ir.types._BaseFloatType):  # type: ignore[misc]
    """LLVM's bfloat16, which llvmlite does not name."""

    null = "0.0"
    intrinsic_name = "bf16"

    def __str__(self) -> str:
        return "bfloat"


Bfloat16._create_instance()


def as_bfloat16(builder: Any, vector: Any) -> Any:
    """The bits of the bfloat16 nearest to float32 lanes, ties to even: one instruction of AVX512-BF16."""
    lanes = vector.type.count
    rounded = builder.fptrunc(vector, ir.VectorType(Bfloat16(), lanes))
    return builder.bitcast(rounded, ir.VectorType(HALF, lanes))


def load_activations(builder: Any, address: Any, like: Any, lanes: int) -> Any:
    """Numbers in the type of `like` as float32 lanes."""
    if like == types.float32:
        return load(builder, address, ir.VectorType(FLOAT, lanes))
    wide = ir.VectorType(INT32, lanes)
    bits = builder.zext(load(builder, address, ir.VectorType(HALF, lanes), 2), wide)
    return builder.bitcast(builder.shl(bits, ir.Constant(wide, [16] * lanes)), ir.VectorType(FLOAT, lanes))


def transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """16 rows of 16 words, transposed in four rounds, each of which exchanges blocks of half the size."""
    rows = list(rows)
    for size in (8, 4, 2, 1):
        low = [i + 16 * (i & size > 0) - (i & size) for i in range(16)]
        high = [i + 16 * (i & size > 0) + size * (i & size == 0) for i in range(16)]
        masks = [ir.Constant(ir.VectorType(INT32, 16), mask) for mask in (low, high)]
        for first in (row for row in range(16) if not row & size):
            pair = rows[first], rows[first + size]
            rows[first], rows[first + size] = (
                builder.shuffle_vector(*pair, masks[0]),
                builder.shuffle_vector(*pair, masks[1]),
            )
    return rows
