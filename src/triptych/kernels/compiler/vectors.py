"""Vector instructions that a compiler does not find by itself, as functions for kernels.

`like` is a number of the type of what lies in memory: float32, or uint16 for bfloat16. `lanes` is a tuple
whose length counts.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from triptych.kernels.compiler.llvm import (
    FLOAT,
    HALF,
    INT32,
    LANES,
    WORDS,
    as_bfloat16,
    converted,
    instruction,
    interleave,
    load,
    load_floats,
    pointer,
    splat,
    store,
    transpose,
)

BITS = ir.VectorType(HALF, 16)


@instruction(types.intp)
def bytes_of(builder, kinds, like):
    """The size of a number of the type of `like`."""
    return ir.Constant(ir.IntType(64), kinds[0].bitwidth // 8)


@instruction(types.uint16)
def narrow(builder, kinds, value):
    """The bits of the bfloat16 nearest to a float32, ties to even."""
    return as_bfloat16(builder, value)


@instruction()
def widen_row(builder, kinds, source, target, like, lanes):
    """Copy len(lanes) numbers in the type of `like` to float32."""
    store(builder, load_floats(builder, source, kinds[2], kinds[3].count), target, 4)


@instruction()
def convert_row(builder, kinds, source, target, like):
    """Copy 16 float32 to the type of `like`."""
    store(builder, converted(builder, load(builder, source, LANES), kinds[2]), target)


@instruction()
def convert_sum(builder, kinds, source, other, target):
    """The sums of 16 float32 and 16 others, as bfloat16."""
    total = builder.fadd(load(builder, source, LANES), load(builder, other, LANES))
    store(builder, as_bfloat16(builder, total), target)


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


def _larger(builder, first, second):
    return builder.select(builder.fcmp_ordered(">", first, second), first, second)


@instruction(types.float32)
def largest(builder, kinds, source, vectors):
    """The largest of so many vectors of 16 float32."""
    best = cgutils.alloca_once(builder, LANES)
    builder.store(load(builder, source, LANES), best)
    with cgutils.for_range(builder, vectors, intp=vectors.type) as loop:
        place = builder.add(source, builder.mul(loop.index, ir.Constant(loop.index.type, 64)))
        builder.store(_larger(builder, load(builder, place, LANES), builder.load(best)), best)
    numbers = builder.load(best)
    for distance in (8, 4, 2, 1):
        mask = ir.Constant(WORDS, [(lane + distance) % 16 for lane in range(16)])
        numbers = _larger(builder, numbers, builder.shuffle_vector(numbers, numbers, mask))
    return builder.extract_element(numbers, ir.Constant(INT32, 0))


@instruction()
def keep_first(builder, kinds, target, count, other):
    """Set what follows the first `count` of 16 float32 to `other`."""
    lanes = ir.Constant(WORDS, list(range(16)))
    kept = builder.icmp_signed("<", lanes, splat(builder, builder.trunc(count, INT32)))
    result = builder.select(kept, load(builder, target, LANES), splat(builder, other))
    store(builder, result, target, 4)


@instruction()
def add_rows(builder, kinds, source, row, rows, target):
    """Add 16 columns of some rows of bfloat16, `row` bytes apart, to 16 float32."""
    total = cgutils.alloca_once(builder, LANES)
    builder.store(load(builder, target, LANES), total)
    with cgutils.for_range(builder, rows, intp=rows.type) as loop:
        numbers = load_floats(builder, builder.add(source, builder.mul(loop.index, row)), None)
        builder.store(builder.fadd(builder.load(total), numbers), total)
    store(builder, builder.load(total), target, 4)


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
