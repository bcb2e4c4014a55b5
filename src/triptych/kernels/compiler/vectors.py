"""Vector instructions that a compiler does not find by itself, as functions for kernels.

Addresses are integers (`array.ctypes.data` plus bytes); nothing is bounds-checked. Vectors wider
than the CPU's are split by the compiler, so all of this runs anywhere.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from triptych.kernels.compiler.llvm import (
    FLOAT,
    HALF,
    INT32,
    Bfloat16,
    as_bfloat16,
    load,
    load_activations,
    pointer,
    splat,
    transpose,
)


@intrinsic
def widen(typing: Any, number: Any) -> Any:
    """The float32 value of bfloat16 bits, or a float32 itself; loops over it become vector instructions."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        if number == types.float32:
            return arguments[0]
        return builder.bitcast(builder.shl(builder.zext(arguments[0], INT32), ir.Constant(INT32, 16)), FLOAT)

    return types.float32(number), generate


@intrinsic
def narrow(typing: Any, value: Any) -> Any:
    """The bits of the bfloat16 nearest to a float32, ties to even."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], Bfloat16()), HALF)

    return types.uint16(types.float32), generate


@intrinsic
def as_stored(typing: Any, value: Any, like: Any) -> Any:
    """A float32 in the type of `like`: float32, or uint16 for bits of bfloat16."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        if like == types.float32:
            return arguments[0]
        return builder.bitcast(builder.fptrunc(arguments[0], Bfloat16()), HALF)

    return like(types.float32, like), generate


@intrinsic
def widen_row(typing: Any, source: Any, target: Any, like: Any, lanes: Any) -> Any:
    """Copy len(lanes) numbers in the type of `like`, float32 or uint16 for bfloat16, to float32."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        values = load_activations(builder, arguments[0], like, lanes.count)
        builder.store(values, pointer(builder, arguments[1], values.type), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like, lanes), generate


@intrinsic
def convert_row(typing: Any, source: Any, target: Any, like: Any) -> Any:
    """Copy 16 float32 to an address, in the type of `like`: float32, or uint16 for bfloat16."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        values = load(builder, arguments[0], ir.VectorType(FLOAT, 16))
        if like != types.float32:
            values = as_bfloat16(builder, values)
        builder.store(values, pointer(builder, arguments[1], values.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def convert_sum(typing: Any, source: Any, other: Any, target: Any) -> Any:
    """The sums of 16 float32 and 16 others, as bfloat16."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second = (load(builder, address, ir.VectorType(FLOAT, 16)) for address in arguments[:2])
        bits = as_bfloat16(builder, builder.fadd(first, second))
        builder.store(bits, pointer(builder, arguments[2], bits.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def convert_where_positive(typing: Any, source: Any, mask: Any, target: Any, like: Any) -> Any:
    """As `convert_row`, with 0 where the number at `mask`, in the type of `like`, is not positive."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, mask, target, _ = arguments
        vector = ir.VectorType(FLOAT, 16)
        zero = ir.Constant(vector, [0.0] * 16)
        values = load(builder, source, vector)
        if like == types.float32:
            positive = builder.fcmp_ordered(">", load(builder, mask, vector), zero)
            result = builder.select(positive, values, zero)
        else:
            bits = ir.VectorType(HALF, 16)
            positive = builder.icmp_signed(">", load(builder, mask, bits, 2), ir.Constant(bits, [0] * 16))
            result = as_bfloat16(builder, builder.select(positive, values, zero))
        builder.store(result, pointer(builder, target, result.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, like), generate


@intrinsic
def convert_rectified(typing: Any, source: Any, target: Any, like: Any) -> Any:
    """As `convert_row`, with 0 in place of negative numbers."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(FLOAT, 16)
        zero = ir.Constant(vector, [0.0] * 16)
        values = load(builder, arguments[0], vector)
        result = builder.select(builder.fcmp_ordered(">", values, zero), values, zero)
        if like != types.float32:
            result = as_bfloat16(builder, result)
        builder.store(result, pointer(builder, arguments[1], result.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def copy_row(typing: Any, source: Any, target: Any, like: Any, lanes: Any) -> Any:
    """Copy len(lanes) neighbouring numbers of the type of `like` between two addresses."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(like), lanes.count)
        row = builder.load(pointer(builder, arguments[0], vector), align=2)
        builder.store(row, pointer(builder, arguments[1], vector), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like, lanes), generate


@intrinsic
def pair_rows(typing: Any, low: Any, high: Any, target: Any) -> Any:
    """Interleave 16 bfloat16 of two rows: 16 pairs, those of `low` first."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        half, wide = ir.VectorType(HALF, 16), ir.VectorType(INT32, 16)
        low, high = (builder.zext(load(builder, address, half, 2), wide) for address in arguments[:2])
        pairs = builder.or_(low, builder.shl(high, ir.Constant(wide, [16] * 16)))
        builder.store(pairs, pointer(builder, arguments[2], wide), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def largest(typing: Any, source: Any, vectors: Any) -> Any:
    """The largest of so many vectors of 16 float32."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        lanes = ir.VectorType(FLOAT, 16)

        def larger(first: Any, second: Any) -> Any:
            return builder.select(builder.fcmp_ordered(">", first, second), first, second)

        best = cgutils.alloca_once(builder, lanes)
        builder.store(load(builder, arguments[0], lanes), best)
        with cgutils.for_range(builder, arguments[1], intp=arguments[1].type) as loop:
            place = builder.add(arguments[0], builder.mul(loop.index, ir.Constant(loop.index.type, 64)))
            builder.store(larger(load(builder, place, lanes), builder.load(best)), best)
        numbers = builder.load(best)
        for distance in (8, 4, 2, 1):
            mask = ir.Constant(ir.VectorType(INT32, 16), [(lane + distance) % 16 for lane in range(16)])
            numbers = larger(numbers, builder.shuffle_vector(numbers, numbers, mask))
        return builder.extract_element(numbers, ir.Constant(INT32, 0))

    return types.float32(types.intp, types.intp), generate


@intrinsic
def keep_first(typing: Any, target: Any, count: Any, other: Any) -> Any:
    """Set what follows the first `count` of 16 float32 to `other`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        target, count, other = arguments
        numbers = load(builder, target, ir.VectorType(FLOAT, 16))
        lanes = ir.Constant(ir.VectorType(INT32, 16), list(range(16)))
        kept = builder.icmp_signed("<", lanes, splat(builder, builder.trunc(count, INT32), 16))
        result = builder.select(kept, numbers, splat(builder, other, 16))
        builder.store(result, pointer(builder, target, result.type), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.float32), generate


@intrinsic
def add_rows(typing: Any, source: Any, row: Any, rows: Any, target: Any) -> Any:
    """Add 16 columns of some rows of bfloat16, `row` bytes apart, to 16 float32."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, row, rows, target = arguments
        total = cgutils.alloca_once(builder, ir.VectorType(FLOAT, 16))
        builder.store(load(builder, target, ir.VectorType(FLOAT, 16)), total)
        with cgutils.for_range(builder, rows, intp=rows.type) as loop:
            place = builder.add(source, builder.mul(loop.index, row))
            numbers = load_activations(builder, place, None, 16)
            builder.store(builder.fadd(builder.load(total), numbers), total)
        builder.store(builder.load(total), pointer(builder, target, ir.VectorType(FLOAT, 16)), align=4)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@intrinsic
def transpose_words(typing: Any, source: Any, source_bytes: Any, target: Any, target_bytes: Any) -> Any:
    """Transpose 16 rows of 16 words of four bytes; `*_bytes` is the distance between two rows."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, source_bytes, target, target_bytes = arguments
        vector = ir.VectorType(INT32, 16)
        rows = []
        for _row in range(16):
            rows.append(load(builder, source, vector))
            source = builder.add(source, source_bytes)
        for row in transpose(builder, rows):
            builder.store(row, pointer(builder, target, vector), align=4)
            target = builder.add(target, target_bytes)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def transpose_pairs(typing: Any, source: Any, source_bytes: Any, target: Any, target_bytes: Any) -> Any:
    """Transpose 32 rows of 16 bfloat16 to 16 rows of 32; `*_bytes` is the distance between two rows."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, source_bytes, target, target_bytes = arguments
        vector, half = ir.VectorType(INT32, 16), ir.VectorType(HALF, 16)
        lines = []
        for _line in range(32):
            lines.append(builder.zext(load(builder, source, half, 2), vector))
            source = builder.add(source, source_bytes)
        # two rows at a time become one of pairs, which stay together
        shift = ir.Constant(vector, [16] * 16)
        rows = [
            builder.or_(low, builder.shl(high, shift))
            for low, high in zip(lines[::2], lines[1::2], strict=True)
        ]
        rows = transpose(builder, rows)
        for row in rows:
            builder.store(row, pointer(builder, target, vector), align=4)
            target = builder.add(target, target_bytes)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def prefetch(typing: Any, address: Any) -> Any:
    """Ask for a line of memory, which is read soon, in the second-level cache; any address will do."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        place = pointer(builder, arguments[0], ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [place.type, INT32, INT32, INT32])
        function = builder.module.declare_intrinsic("llvm.prefetch", (place.type,), kind)
        builder.call(function, [place, *(ir.Constant(INT32, number) for number in (0, 2, 1))])
        return context.get_dummy_value()

    return types.void(types.intp), generate
