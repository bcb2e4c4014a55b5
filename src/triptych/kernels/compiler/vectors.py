"""Vector instructions that a compiler does not find by itself, as functions for kernels.

`like` is a number of the type of what lies in memory: float32, or uint16 for bfloat16. `lanes` is a tuple
whose length counts.
"""

from typing import Any

from llvmlite import ir
from numba import types

from triptych.kernels.compiler.llvm import (
    FLOAT,
    HALF,
    INT32,
    LANES,
    WORDS,
    converted,
    instruction,
    interleave,
    load,
    load_floats,
    pointer,
    store,
    transpose,
)

BITS = ir.VectorType(HALF, 16)


@instruction(types.intp)
def bytes_of(builder, kinds, like):
    """The size of a number of the type of `like`."""
    return ir.Constant(ir.IntType(64), kinds[0].bitwidth // 8)


@instruction()
def widen_row(builder, kinds, source, target, like, lanes):
    """Copy len(lanes) numbers in the type of `like` to float32."""
    store(builder, load_floats(builder, source, kinds[2], kinds[3].count), target, 4)


@instruction()
def convert_row(builder, kinds, source, target, like):
    """Copy 16 float32 to the type of `like`."""
    store(builder, converted(builder, load(builder, source, LANES), kinds[2]), target)


@instruction()
def convert_where_positive(builder, kinds, source, mask, target, like):
    """As `convert_row`, with 0 where the number at `mask`, in the type of `like`, is not positive."""
    zero, values = ir.Constant(LANES, [0.0] * 16), load(builder, source, LANES)
    if kinds[3] == types.float32:
        positive = builder.fcmp_ordered(">", load(builder, mask, LANES), zero)
    else:
        positive = builder.icmp_signed(">", load(builder, mask, BITS, 2), ir.Constant(BITS, [0] * 16))
    store(builder, converted(builder, builder.select(positive, values, zero), kinds[3]), target)


@instruction()
def convert_rectified(builder, kinds, source, target, like):
    """As `convert_row`, with 0 in place of negative numbers."""
    zero, values = ir.Constant(LANES, [0.0] * 16), load(builder, source, LANES)
    rectified = builder.select(builder.fcmp_ordered(">", values, zero), values, zero)
    store(builder, converted(builder, rectified, kinds[2]), target)


@instruction()
def copy_row(builder, kinds, source, target, like, lanes):
    """Copy len(lanes) neighbouring numbers of the type of `like` between two addresses."""
    element = FLOAT if kinds[2] == types.float32 else HALF
    store(builder, load(builder, source, ir.VectorType(element, kinds[3].count), 2), target)


@instruction()
def pair_rows(builder, kinds, low, high, target):
    """Interleave 16 bfloat16 of two rows: 16 pairs, those of `low` first."""
    rows = (load(builder, address, BITS, 2) for address in (low, high))
    store(builder, interleave(builder, *rows), target, 4)


def _store_rows(builder: Any, rows: list[Any], target: Any, target_row: Any) -> None:
    for row in transpose(builder, rows):
        store(builder, row, target, 4)
        target = builder.add(target, target_row)


@instruction()
def transpose_words(builder, kinds, source, source_row, target, target_row):
    """Transpose 16 rows of 16 words of four bytes; `*_row` is the distance between two rows."""
    rows = []
    for _row in range(16):
        rows.append(load(builder, source, WORDS))
        source = builder.add(source, source_row)
    _store_rows(builder, rows, target, target_row)


@instruction()
def transpose_pairs(builder, kinds, source, source_row, target, target_row):
    """Transpose 32 rows of 16 bfloat16 to 16 rows of 32; `*_row` is the distance between two rows."""
    lines = []
    for _line in range(32):
        lines.append(load(builder, source, BITS, 2))
        source = builder.add(source, source_row)
    # two rows at a time become one of pairs, which stay together
    pairs = zip(lines[::2], lines[1::2], strict=True)
    _store_rows(builder, [interleave(builder, *pair) for pair in pairs], target, target_row)


@instruction()
def prefetch(builder, kinds, address):
    """Bring a line of memory, which is read soon, to the second-level cache; any address will do."""
    place = pointer(builder, address, ir.IntType(8))
    kind = ir.FunctionType(ir.VoidType(), [place.type, INT32, INT32, INT32])
    function = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), kind)
    builder.call(function, [place, *(ir.Constant(INT32, number) for number in (0, 2, 1))])
