"""Rows of tables as single vectors.

Addresses are integers (`array.ctypes.data` plus bytes); nothing is bounds-checked. Vectors wider
than the CPU's are split by the compiler, so all of this runs anywhere.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.compiler.llvm import FLOAT, INT32, as_bfloat16, load, load_activations, pointer, splat


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
            row = builder.sext(load(builder, index, INT32), table.type)
            address = builder.add(table, builder.mul(row, ir.Constant(table.type, 4 * width)))
            share = splat(builder, load(builder, weight, FLOAT), width)
            product = builder.fmul(load(builder, address, vector), share, flags=("contract",))
            total = builder.fadd(total, product, flags=("contract",))
            index, weight = builder.add(index, bytes_), builder.add(weight, bytes_)
        if like != types.float32:
            total = as_bfloat16(builder, total)
        builder.store(total, pointer(builder, out, total.type), align=2)
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
        value = load_activations(builder, row, like, width)
        for _corner in range(8):
            number = builder.sext(load(builder, index, INT32), table.type)
            address = builder.add(table, builder.mul(number, ir.Constant(table.type, 4 * width)))
            share = splat(builder, load(builder, weight, FLOAT), width)
            product = builder.fmul(value, share, flags=("contract",))
            total = builder.fadd(load(builder, address, vector), product, flags=("contract",))
            builder.store(total, pointer(builder, address, vector), align=4)
            index, weight = builder.add(index, bytes_), builder.add(weight, bytes_)
        return _context.get_dummy_value()

    return types.void(*[types.intp] * 5, like, lanes), generate


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
        places = [pointer(builder, address, vector) for address in arguments[:4]]
        value, slope, mean, square = (builder.load(place, align=4) for place in places)
        size = splat(builder, arguments[4], width)
        rate1, rate2, epsilon = (
            splat(builder, builder.extract_value(arguments[5], number), width) for number in range(3)
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
