"""Arithmetic on 32-bit words, which numba would widen to 64."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.compiler.llvm import FLOAT, INT32


@intrinsic
def power_of_two(typing: Any, exponent: Any) -> Any:
    """2 to a whole power, given and returned as a float32, from -126 to 127."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        whole = builder.add(builder.fptosi(arguments[0], INT32), ir.Constant(INT32, 127))
        return builder.bitcast(builder.shl(whole, ir.Constant(INT32, 23)), FLOAT)

    return types.float32(types.float32), generate


@intrinsic
def power_above(typing: Any, value: Any) -> Any:
    """The exponent of the least whole power of two that is not below a positive float32, as a float32."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        below = builder.sub(builder.bitcast(arguments[0], INT32), ir.Constant(INT32, 1))
        exponent = builder.sub(builder.lshr(below, ir.Constant(INT32, 23)), ir.Constant(INT32, 126))
        return builder.sitofp(exponent, FLOAT)

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
