"""Vector instructions that a compiler does not find by itself, as functions for kernels.

Addresses are integers (`array.ctypes.data` plus bytes); nothing is bounds-checked. Vectors wider
than the CPU's are split by the compiler, so all of this runs anywhere.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.llvm import (
    FLOAT,
    HALF,
    INT32,
    Bfloat16,
    as_bfloat16,
    load,
    load_activations,
    pointer,
    transpose,
)


@intrinsic
def widen(typing: Any, bits: Any) -> Any:
    """The float32 value of bfloat16 bits; loops over it become vector instructions."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.shl(builder.zext(arguments[0], INT32), ir.Constant(INT32, 16)), FLOAT)

    return types.float32(types.uint16), generate


@intrinsic
def narrow(typing: Any, value: Any) -> Any:
    """The bits of the bfloat16 nearest to a float32, ties to even."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], Bfloat16()), HALF)

    return types.uint16(types.float32), generate


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
