"""Transforms of Winograd's minimal filtering for 3 x 3 filters, 16 channels at a time.

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

How many places a line has, and how many values a window, are given as tuples of that length. Addresses are
integers, all numbers bfloat16 unless said.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.llvm import (
    FLOAT,
    INT32,
    as_bfloat16,
    load,
    load_activations,
    offset,
    pointer,
    splat,
)

LANES = ir.VectorType(FLOAT, 16)


def _half(builder: Any, value: Any) -> Any:
    return builder.fmul(value, ir.Constant(LANES, [0.5] * 16))


def _input(b: Any, x: list[Any]) -> list[Any]:
    return [b.fsub(x[0], x[2]), b.fadd(x[1], x[2]), b.fsub(x[2], x[1]), b.fsub(x[1], x[3])]


def _output(b: Any, m: list[Any]) -> list[Any]:
    total, difference = b.fadd(m[1], m[2]), b.fsub(m[1], m[2])
    return [b.fadd(m[0], total), b.fsub(difference, m[3])]


def _output_gradient(b: Any, y: list[Any]) -> list[Any]:
    return [y[0], b.fadd(y[0], y[1]), b.fsub(y[0], y[1]), b.fneg(y[1])]


def _filters(b: Any, w: list[Any]) -> list[Any]:
    ends, middle = _half(b, b.fadd(w[0], w[2])), _half(b, w[1])
    return [w[0], b.fadd(ends, middle), b.fsub(ends, middle), w[2]]


def _filter_gradient(b: Any, u: list[Any]) -> list[Any]:
    total, difference = _half(b, b.fadd(u[1], u[2])), _half(b, b.fsub(u[1], u[2]))
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


# By the length of a window, of a line of places, and, of outputs, of a tile, too.
INPUTS = {4: _input, 5: _input_2, 3: _back_input_2}
OUTPUTS = {(4, 2): _output, (5, 2): _output_2, (5, 4): _back_output_2}
OUTPUT_GRADIENTS = {4: _output_gradient, 5: _output_gradient_2}
FILTERS = {4: _filters, 5: _filters_2}
FILTER_GRADIENTS = {4: _filter_gradient, 5: _filter_gradient_2}


def _along_both(builder: Any, step: Callable[..., list[Any]], rows: list[list[Any]]) -> list[list[Any]]:
    """`step` applied to each column, then to each row."""
    columns = [step(builder, list(column)) for column in zip(*rows, strict=True)]
    return [step(builder, list(row)) for row in zip(*columns, strict=True)]


def _addresses(builder: Any, table: Any, rows: int, width: int, shift: Any) -> list[list[Any]]:
    """Rows of addresses from a table of int64, each `shift` bytes further on."""
    word = ir.IntType(64)
    places = [offset(builder, table, 8 * i) for i in range(rows * width)]
    flat = [builder.add(load(builder, place, word, 8), shift) for place in places]
    return [flat[row * width : (row + 1) * width] for row in range(rows)]


def _store_bits(builder: Any, value: Any, target: Any) -> None:
    bits = as_bfloat16(builder, value)
    builder.store(bits, pointer(builder, target, bits.type), align=2)


def _store_pairs(builder: Any, pairs: Iterable[tuple[Any, Any]], target: Any, step: Any) -> None:
    """Two vectors as words of a bfloat16 of each, to places `step` bytes apart."""
    wide = ir.VectorType(INT32, 16)
    for values in pairs:
        low, high = (builder.zext(as_bfloat16(builder, value), wide) for value in values)
        words = builder.or_(low, builder.shl(high, ir.Constant(wide, [16] * 16)))
        builder.store(words, pointer(builder, target, wide), align=4)
        target = builder.add(target, step)


def _load_rows(builder: Any, source: Any, step: Any, width: int) -> list[list[Any]]:
    """A square of float32 vectors `step` bytes apart."""
    values = []
    for _ in range(width * width):
        values.append(load(builder, source, LANES))
        source = builder.add(source, step)
    return [values[i : i + width] for i in range(0, width * width, width)]


def _transformed_filters(builder: Any, source: Any, tap: Any, line: int) -> list[Any]:
    rows = _along_both(builder, FILTERS[line], _load_rows(builder, source, tap, 3))
    return [value for row in rows for value in row]


@intrinsic
def transform_inputs(typing: Any, table: Any, shift: Any, target: Any, step: Any, window: Any) -> Any:
    """B' x B of a window whose positions' addresses stand in a table, to places `step` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, shift, target, step, _ = arguments
        places = _addresses(builder, table, window.count, window.count, shift)
        values = [[load_activations(builder, a, None, 16) for a in row] for row in places]
        for row in _along_both(builder, INPUTS[window.count], values):
            for value in row:
                _store_bits(builder, value, target)
                target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, window), generate


@intrinsic
def transform_outputs(
    typing: Any, source: Any, step: Any, corner: Any, column: Any, row: Any, line: Any, tile: Any
) -> Any:
    """A' m A of float32 places `step` bytes apart, to the positions of a tile at `corner`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, corner, column, row, *_ = arguments
        values = _load_rows(builder, source, step, line.count)
        for results in _along_both(builder, OUTPUTS[line.count, tile.count], values):
            target = corner
            for value in results:
                _store_bits(builder, value, target)
                target = builder.add(target, column)
            corner = builder.add(corner, row)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, line, tile), generate


@intrinsic
def transform_filters(typing: Any, source: Any, tap: Any, target: Any, step: Any, line: Any) -> Any:
    """G w G' of nine float32 taps `tap` bytes apart, to places `step` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, tap, target, step, _ = arguments
        for value in _transformed_filters(builder, source, tap, line.count):
            _store_bits(builder, value, target)
            target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, line), generate


@intrinsic
def pair_filters(typing: Any, first: Any, second: Any, tap: Any, target: Any, step: Any, line: Any) -> Any:
    """As `transform_filters`, of two filters, as pairs."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second, tap, target, step, _ = arguments
        pairs = (_transformed_filters(builder, source, tap, line.count) for source in (first, second))
        _store_pairs(builder, zip(*pairs, strict=True), target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, line), generate


@intrinsic
def transform_filter_gradients(typing: Any, source: Any, step: Any, target: Any, tap: Any, line: Any) -> Any:
    """G' u G of float32 places `step` bytes apart, to nine float32 taps `tap` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, target, tap, _ = arguments
        values = _load_rows(builder, source, step, line.count)
        for row in _along_both(builder, FILTER_GRADIENTS[line.count], values):
            for value in row:
                builder.store(value, pointer(builder, target, LANES), align=4)
                target = builder.add(target, tap)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, line), generate


def _weighted_sum(builder: Any, rows: list[list[Any]], weights: list[Any]) -> list[Any]:
    """The sum of two rows of vectors, each times its weight."""
    first, second = (splat(builder, weight, 16) for weight in weights)
    return [
        builder.fadd(builder.fmul(a, first), builder.fmul(b, second), flags=("contract",))
        for a, b in zip(*rows, strict=True)
    ]


def _line_of_pairs(steps: dict[int, Callable[..., list[Any]]], *, whole: bool) -> Any:
    """One line of B' x B, or of A y A', of two tiles, as pairs, to places `step` bytes apart.

    The table has the addresses of the two rows of positions that are summed, with the weights `upper` and
    `lower`, first those of one tile, then those of the other; rows are windows (`whole`) or pairs.
    """

    def transform(
        typing: Any, table: Any, shift: Any, upper: Any, lower: Any, target: Any, step: Any, line: Any
    ) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            table, shift, upper, lower, target, step, _ = arguments
            places = _addresses(builder, table, 4, line.count if whole else 2, shift)
            tiles = []
            for tile in (places[:2], places[2:]):
                rows = [[load_activations(builder, a, None, 16) for a in row] for row in tile]
                tiles.append(steps[line.count](builder, _weighted_sum(builder, rows, [upper, lower])))
            _store_pairs(builder, zip(*tiles, strict=True), target, step)
            return context.get_dummy_value()

        real = types.float32
        return types.void(types.intp, types.intp, real, real, types.intp, types.intp, line), generate

    return intrinsic(transform)


pair_inputs = _line_of_pairs(INPUTS, whole=True)
pair_output_gradients = _line_of_pairs(OUTPUT_GRADIENTS, whole=False)
