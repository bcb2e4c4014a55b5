"""Elementwise float32 functions that the compiler can turn into vector instructions."""

import numpy as np

from triptych.kernels.compiler.integers import power_of_two
from triptych.kernels.compiler.jit import kernel

LOG2_E = np.float32(1.44269504)
LN2_HIGH, LN2_LOW = np.float32(0.693359375), np.float32(-2.12194440e-4)
LOWEST, HIGHEST = np.float32(-87.0), np.float32(88.0)
HALF, ONE = np.float32(0.5), np.float32(1.0)
# minimax polynomial for exp on ±ln(2)/2, from the sixth order down (Cephes, expf)
E7, E6, E5 = np.float32(1.9875691500e-4), np.float32(1.3981999507e-3), np.float32(8.3334519073e-3)
E4, E3, E2 = np.float32(4.1665795894e-2), np.float32(1.6666665459e-1), np.float32(5.0000001201e-1)


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
