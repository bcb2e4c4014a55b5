"""Rows of hash tables as single vectors: the eight corners of a cell, read and written at once.

`lanes` is a tuple with as many members as a row has features. Corners' entries are `stride` elements apart.
"""

from collections.abc import Iterator
from typing import Any

from llvmlite import ir

from triptych.kernels.compiler.llvm import (
    FLOAT,
    INT32,
    converted,
    instruction,
    load,
    load_floats,
    splat,
    store,
)


def _corners(
    builder: Any, table: Any, index: Any, weight: Any, stride: Any, width: int
) -> Iterator[tuple[Any, Any]]:
    """The address of each corner's row, and its weight as a vector."""
    step = builder.mul(stride, ir.Constant(stride.type, 4))
    for _corner in range(8):
        row = builder.sext(load(builder, index, INT32), table.type)
        address = builder.add(table, builder.mul(row, ir.Constant(table.type, 4 * width)))
        yield address, splat(builder, load(builder, weight, FLOAT), width)
        index, weight = builder.add(index, step), builder.add(weight, step)


@instruction()
def gather_row(builder, kinds, table, index, weight, stride, out, like, lanes):
    """out[f] = sum over 8 corners c of weight[c * stride] * table[index[c * stride], f], as `like`."""
    width = kinds[6].count
    vector = ir.VectorType(FLOAT, width)
    total = ir.Constant(vector, [0.0] * width)
    for address, share in _corners(builder, table, index, weight, stride, width):
        product = builder.fmul(load(builder, address, vector), share, flags=("contract",))
        total = builder.fadd(total, product, flags=("contract",))
    store(builder, converted(builder, total, kinds[5]), out)


@instruction()
def scatter_row(builder, kinds, table, index, weight, stride, row, like, lanes):
    """The transpose of `gather_row`: table[index[c * stride], f] += weight[c * stride] * row[f]."""
    width = kinds[6].count
    vector, value = ir.VectorType(FLOAT, width), load_floats(builder, row, kinds[5], width)
    for address, share in _corners(builder, table, index, weight, stride, width):
        product = builder.fmul(value, share, flags=("contract",))
        total = builder.fadd(load(builder, address, vector), product, flags=("contract",))
        store(builder, total, address, 4)
