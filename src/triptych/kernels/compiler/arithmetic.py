"""Elementwise functions that the compiler can turn into vector instructions."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.llvm import FLOAT, INT32, instruction

LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)
HALF, ONE = np.float32(0.5), np.float32(1.0)
# minimax polynomial for exp on ±ln(2)/2, from the sixth order down (Cephes, expf)
E7, E6, E5 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E4, E3, E2 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


@instruction(types.float32)
def power_of_two(builder, kinds, exponent):
    """2 to a whole power, given and returned as a float32, from -126 to 127."""
    whole = builder.add(builder.fptosi(exponent, INT32), ir.Constant(INT32, 127))
    return builder.bitcast(builder.shl(whole, ir.Constant(INT32, 23)), FLOAT)


@instruction(types.float32)
def power_above(builder, kinds, value):
    """The exponent of the least whole power of two that is not below a positive float32, as a float32."""
    below = builder.sub(builder.bitcast(value, INT32), ir.Constant(INT32, 1))
    exponent = builder.sub(builder.lshr(below, ir.Constant(INT32, 23)), ir.Constant(INT32, 126))
    return builder.sitofp(exponent, FLOAT)


@instruction(types.uint32)
def truncated(builder, kinds, value):
    """A float32 that is not negative, without its fraction, as a uint32."""
    return builder.fptosi(value, INT32)


def _wrapping(name: str) -> Any:
    """An operation on two uint32 whose result is a uint32: Numba's own would widen to 64 bits."""

    def operate(builder, kinds, left, right):
        return getattr(builder, name)(left, right)

    return instruction(types.uint32, (types.uint32, types.uint32))(operate)


add32, multiply32, xor32, and32 = (_wrapping(name) for name in ("add", "mul", "xor", "and_"))


@kernel
def exponential(x):
    """exp(x) to about 1e-7, for x in ±87; beyond, the value at the end of that range."""
    x = min(max(x, LOWEST), HIGHEST)
    power = np.floor(x * LOG2_E + HALF)
    rest = x - power * LN2_HIGH - power * LN2_LOW
    series = ((((E7 * rest + E6) * rest + E5) * rest + E4) * rest + E3) * rest + E2
    return (series * rest * rest + rest + ONE) * power_of_two(power)


@kernel
def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return ONE / (ONE + exponential(-x))
