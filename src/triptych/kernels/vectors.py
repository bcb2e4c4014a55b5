"""Vector instructions that a compiler does not find by itself, as functions for kernels.

Addresses are integers (`array.ctypes.data` plus bytes); nothing is bounds-checked. Vectors wider
than the CPU's are split by the compiler, so all of this runs anywhere.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

HALF, INT32, FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()


def _pointer(builder: Any, address: Any, element: Any) -> Any:
    return builder.inttoptr(address, element.as_pointer())


def _load(builder: Any, address: Any, element: Any, align: int = 4) -> Any:
    return builder.load(_pointer(builder, address, element), align=align)


def _offset(builder: Any, address: Any, bytes_: int) -> Any:
    return builder.add(address, ir.Constant(address.type, bytes_))


def _splat(builder: Any, value: Any, count: int) -> Any:
    vector = ir.VectorType(value.type, count)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(INT32, 0))
    zeros = ir.Constant(ir.VectorType(INT32, count), [0] * count)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)


class _Bfloat16(ir.types._BaseFloatType):  # type: ignore[misc]
    """LLVM's bfloat16, which llvmlite does not name."""

    null = "0.0"
    intrinsic_name = "bf16"

    def __str__(self) -> str:
        return "bfloat"


_Bfloat16._create_instance()


def _as_bfloat16(builder: Any, vector: Any) -> Any:
    """The bits of the bfloat16 nearest to float32 lanes, ties to even: one instruction on CPUs with tiles."""
    lanes = vector.type.count
    rounded = builder.fptrunc(vector, ir.VectorType(_Bfloat16(), lanes))
    return builder.bitcast(rounded, ir.VectorType(HALF, lanes))


def _load_activations(builder: Any, address: Any, like: Any, lanes: int) -> Any:
    """Numbers in the type of `like` as float32 lanes."""
    if like == types.float32:
        return _load(builder, address, ir.VectorType(FLOAT, lanes))
    wide = ir.VectorType(INT32, lanes)
    bits = builder.zext(_load(builder, address, ir.VectorType(HALF, lanes), 2), wide)
    return builder.bitcast(builder.shl(bits, ir.Constant(wide, [16] * lanes)), ir.VectorType(FLOAT, lanes))


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
        return builder.bitcast(builder.fptrunc(arguments[0], _Bfloat16()), HALF)

    return types.uint16(types.float32), generate


@intrinsic
def widen_row(typing: Any, source: Any, target: Any, like: Any, lanes: Any) -> Any:
    """Copy len(lanes) numbers in the type of `like`, float32 or uint16 for bfloat16, to float32."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        values = _load_activations(builder, arguments[0], like, lanes.count)
        builder.store(values, _pointer(builder, arguments[1], values.type), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like, lanes), generate


@intrinsic
def convert_row(typing: Any, source: Any, target: Any, like: Any) -> Any:
    """Copy 16 float32 to an address, in the type of `like`: float32, or uint16 for bfloat16."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        values = _load(builder, arguments[0], ir.VectorType(FLOAT, 16))
        if like != types.float32:
            values = _as_bfloat16(builder, values)
        builder.store(values, _pointer(builder, arguments[1], values.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def convert_where_positive(typing: Any, source: Any, mask: Any, target: Any, like: Any) -> Any:
    """As `convert_row`, with 0 where the number at `mask`, in the type of `like`, is not positive."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, mask, target, _ = arguments
        vector = ir.VectorType(FLOAT, 16)
        zero = ir.Constant(vector, [0.0] * 16)
        values = _load(builder, source, vector)
        if like == types.float32:
            positive = builder.fcmp_ordered(">", _load(builder, mask, vector), zero)
            result = builder.select(positive, values, zero)
        else:
            bits = ir.VectorType(HALF, 16)
            positive = builder.icmp_signed(">", _load(builder, mask, bits, 2), ir.Constant(bits, [0] * 16))
            result = _as_bfloat16(builder, builder.select(positive, values, zero))
        builder.store(result, _pointer(builder, target, result.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, like), generate


@intrinsic
def convert_rectified(typing: Any, source: Any, target: Any, like: Any) -> Any:
    """As `convert_row`, with 0 in place of negative numbers."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(FLOAT, 16)
        zero = ir.Constant(vector, [0.0] * 16)
        values = _load(builder, arguments[0], vector)
        result = builder.select(builder.fcmp_ordered(">", values, zero), values, zero)
        if like != types.float32:
            result = _as_bfloat16(builder, result)
        builder.store(result, _pointer(builder, arguments[1], result.type), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like), generate


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2 to a whole power, given and returned as a float32, from -126 to 127."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        whole = builder.add(builder.fptosi(arguments[0], INT32), ir.Constant(INT32, 127))
        return builder.bitcast(builder.shl(whole, ir.Constant(INT32, 23)), FLOAT)

    return types.float32(types.float32), generate


def _wrapping(name: str) -> Any:
    """An operation on two uint32 whose result is a uint32: numba's own would widen to 64 bits."""

    def operate(typing: Any, left: Any, right: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return getattr(builder, name)(*arguments)

        return types.uint32(types.uint32, types.uint32), generate

    return intrinsic(operate)


add32, multiply32, xor32, and32 = (_wrapping(name) for name in ("add", "mul", "xor", "and_"))


@intrinsic
def truncated(typing: Any, value: Any) -> Any:
    """A float32 that is not negative, without its fraction, as a uint32."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.fptosi(arguments[0], INT32)

    return types.uint32(types.float32), generate


@intrinsic
def copy_row(typing: Any, source: Any, target: Any, like: Any, lanes: Any) -> Any:
    """Copy len(lanes) neighbouring numbers of the type of `like` between two addresses."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(context.get_value_type(like), lanes.count)
        row = builder.load(_pointer(builder, arguments[0], vector), align=2)
        builder.store(row, _pointer(builder, arguments[1], vector), align=2)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, like, lanes), generate


@intrinsic
def gather_row(
    typing: Any, table: Any, index: Any, weight: Any, stride: Any, out: Any, like: Any, lanes: Any
) -> Any:
    """out[f] = sum over 8 corners c of weight[c * stride] * table[index[c * stride], f].

    Args:
        table: address of float32 rows.
        index, weight: addresses of an int32 and of a float32.
        stride: elements between two corners' entries.
        out: address of as many numbers, in the type of `like`: float32, or uint16 for bfloat16.
        like: a number.
        lanes: a tuple with as many members as a row has features.
    """
    width = lanes.count

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, index, weight, stride, out, _, _ = arguments
        vector = ir.VectorType(FLOAT, width)
        bytes_ = builder.mul(stride, ir.Constant(stride.type, 4))
        total = ir.Constant(vector, [0.0] * width)
        for _corner in range(8):
            row = builder.sext(_load(builder, index, INT32), table.type)
            address = builder.add(table, builder.mul(row, ir.Constant(table.type, 4 * width)))
            share = _splat(builder, _load(builder, weight, FLOAT), width)
            product = builder.fmul(_load(builder, address, vector), share, flags=("contract",))
            total = builder.fadd(total, product, flags=("contract",))
            index, weight = builder.add(index, bytes_), builder.add(weight, bytes_)
        if like != types.float32:
            total = _as_bfloat16(builder, total)
        builder.store(total, _pointer(builder, out, total.type), align=2)
        return _context.get_dummy_value()

    return types.void(*[types.intp] * 5, like, lanes), generate


@intrinsic
def scatter_row(
    typing: Any, table: Any, index: Any, weight: Any, stride: Any, row: Any, like: Any, lanes: Any
) -> Any:
    """The transpose of `gather_row`: table[index[c * stride], f] += weight[c * stride] * row[f]."""
    width = lanes.count

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, index, weight, stride, row, _, _ = arguments
        vector = ir.VectorType(FLOAT, width)
        bytes_ = builder.mul(stride, ir.Constant(stride.type, 4))
        value = _load_activations(builder, row, like, width)
        for _corner in range(8):
            number = builder.sext(_load(builder, index, INT32), table.type)
            address = builder.add(table, builder.mul(number, ir.Constant(table.type, 4 * width)))
            share = _splat(builder, _load(builder, weight, FLOAT), width)
            product = builder.fmul(value, share, flags=("contract",))
            total = builder.fadd(_load(builder, address, vector), product, flags=("contract",))
            builder.store(total, _pointer(builder, address, vector), align=4)
            index, weight = builder.add(index, bytes_), builder.add(weight, bytes_)
        return _context.get_dummy_value()

    return types.void(*[types.intp] * 5, like, lanes), generate


@intrinsic
def pair_rows(typing: Any, low: Any, high: Any, target: Any) -> Any:
    """Interleave 16 bfloat16 of two rows: 16 pairs, those of `low` first."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        half, wide = ir.VectorType(HALF, 16), ir.VectorType(INT32, 16)
        low, high = (builder.zext(_load(builder, address, half, 2), wide) for address in arguments[:2])
        pairs = builder.or_(low, builder.shl(high, ir.Constant(wide, [16] * 16)))
        builder.store(pairs, _pointer(builder, arguments[2], wide), align=4)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
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


@intrinsic
def transpose_words(typing: Any, source: Any, source_bytes: Any, target: Any, target_bytes: Any) -> Any:
    """Transpose 16 rows of 16 words of four bytes; `*_bytes` is the distance between two rows."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, source_bytes, target, target_bytes = arguments
        vector = ir.VectorType(INT32, 16)
        rows = []
        for _row in range(16):
            rows.append(_load(builder, source, vector))
            source = builder.add(source, source_bytes)
        for row in _transpose(builder, rows):
            builder.store(row, _pointer(builder, target, vector), align=4)
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
            lines.append(builder.zext(_load(builder, source, half, 2), vector))
            source = builder.add(source, source_bytes)
        # two rows at a time become one of pairs, which stay together
        shift = ir.Constant(vector, [16] * 16)
        rows = [
            builder.or_(low, builder.shl(high, shift))
            for low, high in zip(lines[::2], lines[1::2], strict=True)
        ]
        rows = _transpose(builder, rows)
        for row in rows:
            builder.store(row, _pointer(builder, target, vector), align=4)
            target = builder.add(target, target_bytes)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, types.intp), generate


@intrinsic
def multiply_strip(
    typing: Any,
    a: Any,
    a_row: Any,
    a_column: Any,
    b: Any,
    b_row: Any,
    c: Any,
    c_row: Any,
    depth: Any,
    rows: Any,
    columns: Any,
) -> Any:
    """c[m, n] += sum over k of a[m, k] * b[k, n], float32, for len(rows) x len(columns) of c.

    The sums stay in registers. `*_row` and `*_column` are distances in bytes; b's and c's columns
    are neighbours. `rows` and `columns` are tuples whose lengths count.
    """
    height, width = rows.count, columns.count

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        from numba.core import cgutils

        a, a_row, a_column, b, b_row, c, c_row, depth, _, _ = arguments
        vector = ir.VectorType(FLOAT, width)
        targets, sums = [], []
        for _row in range(height):
            targets.append(c)
            total = cgutils.alloca_once(builder, vector)
            builder.store(_load(builder, c, vector), total)
            sums.append(total)
            c = builder.add(c, c_row)
        with cgutils.for_range(builder, depth, intp=depth.type) as loop:
            line = _load(builder, builder.add(b, builder.mul(loop.index, b_row)), vector)
            left = builder.add(a, builder.mul(loop.index, a_column))
            for total in sums:
                product = builder.fmul(
                    _splat(builder, _load(builder, left, FLOAT), width), line, flags=("contract",)
                )
                builder.store(builder.fadd(builder.load(total), product, flags=("contract",)), total)
                left = builder.add(left, a_row)
        for target, total in zip(targets, sums, strict=True):
            builder.store(builder.load(total), _pointer(builder, target, vector), align=4)
        return _context.get_dummy_value()

    return types.void(*[types.intp] * 8, rows, columns), generate


@intrinsic
def adam_row(
    typing: Any, values: Any, gradient: Any, first: Any, second: Any, size: Any, rates: Any, lanes: Any
) -> Any:
    """One step of Adam on len(lanes) neighbouring float32, given by addresses; the gradient is cleared.

    `size` is the bias-corrected learning rate; `rates` is a tuple (1 - beta1, 1 - beta2, epsilon).
    """
    width = lanes.count

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        vector = ir.VectorType(FLOAT, width)
        places = [_pointer(builder, address, vector) for address in arguments[:4]]
        value, slope, mean, square = (builder.load(place, align=4) for place in places)
        size = _splat(builder, arguments[4], width)
        rate1, rate2, epsilon = (
            _splat(builder, builder.extract_value(arguments[5], number), width) for number in range(3)
        )
        mean = builder.fadd(mean, builder.fmul(rate1, builder.fsub(slope, mean)))
        square = builder.fadd(square, builder.fmul(rate2, builder.fsub(builder.fmul(slope, slope), square)))
        function = ir.FunctionType(vector, [vector])
        sqrt = builder.module.declare_intrinsic(f"llvm.sqrt.v{width}f32", (), function)
        root = builder.call(sqrt, [square])
        change = builder.fdiv(builder.fmul(size, mean), builder.fadd(root, epsilon))
        value = builder.fsub(value, change)
        for new, place in zip((value, ir.Constant(vector, [0.0] * width), mean, square), places, strict=True):
            builder.store(new, place, align=4)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, types.float32, rates, lanes), generate
