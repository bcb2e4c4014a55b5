"""Building blocks of instructions that Numba does not offer, written for LLVM's builder.

Kernels hold addresses as integers (`array.ctypes.data` plus bytes); nothing is bounds-checked. LLVM splits
vectors that are wider than the CPU's, so all of this runs anywhere.
"""

import inspect
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.registry import emulates, supports

HALF, INT32, FLOAT = ir.IntType(16), ir.IntType(32), ir.FloatType()
LANES, WORDS = ir.VectorType(FLOAT, 16), ir.VectorType(INT32, 16)  # 64 bytes
NATIVE_BFLOAT16 = supports("avx512_bf16") and not emulates("avx512_bf16")


def instruction(
    result: Any = types.void, expected: tuple[Any, ...] | None = None
) -> Callable[[Callable[..., Any]], Any]:
    """Make a function for kernels from one that emits its code: `build(builder, kinds, *arguments)`.

    Args:
        result: the type of what `build` returns, or a function of `kinds`.
        expected: `kinds`, Numba's types of the arguments. Without it, float32 stays as it is, uint16 stands
            for bfloat16, and all other numbers become addresses (intp).
    """

    def decorate(build: Callable[..., Any]) -> Any:
        def definition(typing, *arguments):
            kinds = expected or tuple(_kind(argument) for argument in arguments)

            def generate(context, builder, _signature, values):
                value = build(builder, kinds, *values)
                return context.get_dummy_value() if value is None else value

            return (result if isinstance(result, types.Type) else result(kinds))(*kinds), generate

        return intrinsic(named_as(definition, build, skip=2))

    return decorate


def named_as(definition: Any, build: Any, *, skip: int) -> Any:
    """Give a definition the name and, as Numba needs them one by one, the arguments of what it builds."""
    names = ["typing", *list(inspect.signature(build).parameters)[skip:]]
    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    definition.__signature__ = inspect.Signature(parameters)
    definition.__name__, definition.__doc__ = build.__name__, build.__doc__
    return definition


def _kind(argument):
    number = isinstance(argument, types.Integer | types.Float | types.Boolean)
    return types.intp if number and argument not in (types.uint16, types.float32) else argument


def pointer(builder, address, element):
    """An address as a pointer to `element`."""
    return builder.inttoptr(address, element.as_pointer())


def load(builder: Any, address: Any, element: Any, align: int = 4) -> Any:
    """The value at an address."""
    return builder.load(pointer(builder, address, element), align=align)


def store(builder: Any, value: Any, address: Any, align: int = 2) -> None:
    """Write a value to an address."""
    builder.store(value, pointer(builder, address, value.type), align=align)


def offset(builder: Any, address: Any, bytes_: int) -> Any:
    """An address some bytes further on."""
    return builder.add(address, ir.Constant(address.type, bytes_))


def splat(builder: Any, value: Any, count: int = 16) -> Any:
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


def _like(value, element):
    """The type of a value, scalar or vector, with other elements."""
    return ir.VectorType(element, value.type.count) if isinstance(value.type, ir.VectorType) else element


def _whole(value: Any, number: int) -> Any:
    """A constant of a value's integer type."""
    count = getattr(value.type, "count", None)
    return ir.Constant(value.type, number if count is None else [number] * count)


def as_bfloat16(builder, value):
    """The bits of the bfloat16 nearest to a float32 or to a vector of them, ties to even."""
    if NATIVE_BFLOAT16:  # one instruction
        return builder.bitcast(builder.fptrunc(value, _like(value, Bfloat16())), _like(value, HALF))
    bits = builder.bitcast(value, _like(value, INT32))
    high = builder.lshr(bits, _whole(bits, 16))
    odd = builder.and_(high, _whole(bits, 1))
    rounded = builder.lshr(builder.add(builder.add(bits, odd), _whole(bits, 0x7FFF)), _whole(bits, 16))
    nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(
        builder.select(nan, builder.or_(high, _whole(bits, 0x40)), rounded), _like(value, HALF)
    )


def from_bfloat16(builder, bits):
    """The float32 value of bfloat16 bits, or of a vector of them."""
    wide = builder.zext(bits, _like(bits, INT32))
    return builder.bitcast(builder.shl(wide, _whole(wide, 16)), _like(bits, FLOAT))


def converted(builder, value, like):
    """A float32, or a vector of them, in the type of `like`: float32, or uint16 for bfloat16."""
    return value if like == types.float32 else as_bfloat16(builder, value)


def load_floats(builder: Any, address: Any, like: Any, lanes: int = 16) -> Any:
    """Numbers in the type of `like` as float32 lanes."""
    if like == types.float32:
        return load(builder, address, ir.VectorType(FLOAT, lanes))
    return from_bfloat16(builder, load(builder, address, ir.VectorType(HALF, lanes), 2))


def interleave(builder, low, high):
    """Words of one bfloat16 of each of two vectors of 16, those of `low` first."""
    first, second = (builder.zext(bits, WORDS) for bits in (low, high))
    return builder.or_(first, builder.shl(second, _whole(second, 16)))


def multiply_add(builder, left, right, total):
    """The 16 sums total + left * right of float32, or of pairs of bfloat16 if the factors are words."""
    if left.type == LANES:
        return builder.fadd(total, builder.fmul(left, right, flags=("contract",)), flags=("contract",))
    if NATIVE_BFLOAT16:
        pairs = ir.VectorType(Bfloat16(), 32)
        function = ir.FunctionType(LANES, [LANES, pairs, pairs])
        dot = builder.module.declare_intrinsic("llvm.x86.avx512bf16.dpbf16ps.512", (), function)
        return builder.call(dot, [total, *(builder.bitcast(words, pairs) for words in (left, right))])
    for place in (lambda words: words, lambda words: builder.shl(words, _whole(words, 16))):
        first, second = (
            builder.bitcast(builder.and_(place(words), _whole(words, 0xFFFF0000)), LANES)
            for words in (left, right)
        )
        total = builder.fadd(total, builder.fmul(first, second, flags=("contract",)), flags=("contract",))
    return total


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
