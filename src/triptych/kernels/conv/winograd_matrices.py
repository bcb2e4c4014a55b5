"""What Winograd's minimal filtering adds up, in one dimension: lines of vectors of 16 channels.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1. In one dimension two
values of the output, y = A' [(G w) * (B' x)], take four products instead of six:

    B' = | 1  0 -1  0 |    G = | 1    0    0  |    A' = | 1  1  1  0 |
         | 0  1  1  0 |        | 1/2  1/2  1/2|         | 0  1 -1 -1 |
         | 0 -1  1  0 |        | 1/2 -1/2  1/2|
         | 0  1  0 -1 |        | 0    0    1  |

and in two dimensions 16 instead of 36: the same along rows, then along columns.

With a stride of 2 the filter's middle meets every other value of the input, and its ends the rest, a
filter of two taps, of which two outputs take three products. Two outputs y = A' [(G w) * (B' x)] take five:

    B' = | 0  1  0  0  0 |    G = | 0  1  0 |    A' = | 1  0  1  1  0 |
         | 0  0  0  1  0 |        | 0  1  0 |         | 0  1  0  1  1 |
         | 1  0 -1  0  0 |        | 1  0  0 |
         | 0  0  1  0  0 |        | 1  0  1 |
         | 0  0 -1  0  1 |        | 0  0  1 |

and in two dimensions 25 instead of 36. Its input's gradient is found in the same way: four values from three.

Four values of the output take six products instead of twelve:

    B' = | 4  0 -5  0  1  0 |    G = |  1/4    0    0  |    A' = | 1  1  1  1  1  0 |
         | 0 -4 -4  1  1  0 |        | -1/6 -1/6 -1/6 |         | 0  1 -1  2 -2  0 |
         | 0  4 -4 -1  1  0 |        | -1/6  1/6 -1/6 |         | 0  1  1  4  4  0 |
         | 0 -2 -1  2  1  0 |        | 1/24 1/12  1/6 |         | 0  1 -1  8 -8  1 |
         | 0  2 -1 -2  1  0 |        | 1/24 -1/12 1/6 |
         | 0  4  0 -5  0  1 |        |   0    0    1  |

and in two dimensions 36 instead of 144. Its sums lose two digits, of which only float32 has enough.
"""

from typing import Any

from llvmlite import ir

from triptych.kernels.compiler.llvm import FLOAT

LANES = ir.VectorType(FLOAT, 16)


def _times(builder: Any, factor: float, value: Any) -> Any:
    return builder.fmul(value, ir.Constant(LANES, [factor] * 16))


def _plus(builder: Any, value: Any, factor: float, other: Any) -> Any:
    """The value + factor * other, rounded once where the CPU can."""
    return builder.fadd(
        value,
        builder.fmul(other, ir.Constant(LANES, [factor] * 16), flags=("contract",)),
        flags=("contract",),
    )


def _input(b: Any, x: list[Any]) -> list[Any]:
    return [b.fsub(x[0], x[2]), b.fadd(x[1], x[2]), b.fsub(x[2], x[1]), b.fsub(x[1], x[3])]


def _output(b: Any, m: list[Any]) -> list[Any]:
    total, difference = b.fadd(m[1], m[2]), b.fsub(m[1], m[2])
    return [b.fadd(m[0], total), b.fsub(difference, m[3])]


def _output_gradient(b: Any, y: list[Any]) -> list[Any]:
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


def _filters(b: Any, w: list[Any]) -> list[Any]:
    ends, middle = _times(b, 0.5, b.fadd(w[0], w[2])), _times(b, 0.5, w[1])
    return [w[0], b.fadd(ends, middle), b.fsub(ends, middle), w[2]]


def _filter_gradient(b: Any, u: list[Any]) -> list[Any]:
    total, difference = _times(b, 0.5, b.fadd(u[1], u[2])), _times(b, 0.5, b.fsub(u[1], u[2]))
    return [b.fadd(u[0], total), difference, b.fadd(total, u[3])]


def _input_2(b: Any, x: list[Any]) -> list[Any]:
    return [x[1], x[3], b.fsub(x[0], x[2]), x[2], b.fsub(x[4], x[2])]


def _output_2(b: Any, m: list[Any]) -> list[Any]:
    return [b.fadd(b.fadd(m[0], m[2]), m[3]), b.fadd(b.fadd(m[1], m[3]), m[4])]


def _output_gradient_2(b: Any, y: list[Any]) -> list[Any]:
    return [y[0], y[1], y[0], b.fadd(y[0], y[1]), y[1]]


def _filters_2(b: Any, w: list[Any]) -> list[Any]:
    return [w[1], w[1], w[0], b.fadd(w[0], w[2]), w[2]]


def _filter_gradient_2(b: Any, u: list[Any]) -> list[Any]:
    return [b.fadd(u[2], u[3]), b.fadd(u[0], u[1]), b.fadd(u[3], u[4])]


def _back_input_2(b: Any, y: list[Any]) -> list[Any]:
    return [y[0], y[1], b.fsub(y[0], y[1]), y[1], b.fsub(y[2], y[1])]


def _back_output_2(b: Any, m: list[Any]) -> list[Any]:
    return [m[0], b.fadd(m[2], m[3]), m[1], b.fadd(m[3], m[4])]


def _input_4(b: Any, x: list[Any]) -> list[Any]:
    even, odd = _plus(b, x[4], -4, x[2]), _plus(b, x[3], -4, x[1])
    far, near = b.fsub(x[4], x[2]), b.fsub(x[3], x[1])
    return [
        _plus(b, _plus(b, x[4], -5, x[2]), 4, x[0]),
        b.fadd(even, odd),
        b.fsub(even, odd),
        _plus(b, far, 2, near),
        _plus(b, far, -2, near),
        _plus(b, _plus(b, x[5], -5, x[3]), 4, x[1]),
    ]


def _output_4(b: Any, m: list[Any]) -> list[Any]:
    total, difference = b.fadd(m[1], m[2]), b.fsub(m[1], m[2])
    wide, far = b.fadd(m[3], m[4]), b.fsub(m[3], m[4])
    return [
        b.fadd(b.fadd(m[0], total), wide),
        _plus(b, difference, 2, far),
        _plus(b, total, 4, wide),
        b.fadd(_plus(b, difference, 8, far), m[5]),
    ]


def _output_gradient_4(b: Any, y: list[Any]) -> list[Any]:
    even, odd = b.fadd(y[0], y[2]), b.fadd(y[1], y[3])
    wide, far = _plus(b, y[0], 4, y[2]), _plus(b, y[1], 4, y[3])
    return [
        y[0],
        b.fadd(even, odd),
        b.fsub(even, odd),
        _plus(b, wide, 2, far),
        _plus(b, wide, -2, far),
        y[3],
    ]


def _filters_4(b: Any, w: list[Any]) -> list[Any]:
    ends, middle = _times(b, -1 / 6, b.fadd(w[0], w[2])), _times(b, 1 / 6, w[1])
    wide, half = _plus(b, _times(b, 1 / 6, w[2]), 1 / 24, w[0]), _times(b, 1 / 12, w[1])
    return [
        _times(b, 0.25, w[0]),
        b.fsub(ends, middle),
        b.fadd(ends, middle),
        b.fadd(wide, half),
        b.fsub(wide, half),
        w[2],
    ]


def _filter_gradient_4(b: Any, u: list[Any]) -> list[Any]:
    near, wide = b.fadd(u[1], u[2]), b.fadd(u[3], u[4])
    return [
        _plus(b, _plus(b, _times(b, 0.25, u[0]), -1 / 6, near), 1 / 24, wide),
        _plus(b, _times(b, 1 / 6, b.fsub(u[2], u[1])), 1 / 12, b.fsub(u[3], u[4])),
        _plus(b, _plus(b, u[5], -1 / 6, near), 1 / 6, wide),
    ]


# By the length of a window, of a line of places, and, of outputs, of a tile, too.
INPUTS = {4: _input, 5: _input_2, 3: _back_input_2, 6: _input_4}
OUTPUTS = {(4, 2): _output, (5, 2): _output_2, (5, 4): _back_output_2, (6, 4): _output_4}
OUTPUT_GRADIENTS = {4: _output_gradient, 5: _output_gradient_2, 6: _output_gradient_4}
FILTERS = {4: _filters, 5: _filters_2, 6: _filters_4}
FILTER_GRADIENTS = {4: _filter_gradient, 5: _filter_gradient_2, 6: _filter_gradient_4}
