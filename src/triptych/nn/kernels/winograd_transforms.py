"""Transforms of Winograd's minimal filtering F(2 x 2, 3 x 3), 16 channels at a time.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1. In one dimension two
values of the output, y = A' [(G w) * (B' x)], take four products instead of six:

    B' = | 1  0 -1  0 |    G = | 1    0    0  |    A' = | 1  1  1  0 |
         | 0  1  1  0 |        | 1/2  1/2  1/2|         | 0  1 -1 -1 |
         | 0 -1  1  0 |        | 1/2 -1/2  1/2|
         | 0  1  0 -1 |        | 0    0    1  |

and in two dimensions 16 instead of 36: the same along rows, then along columns. Addresses are integers, all
numbers bfloat16 unless said.
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


@intrinsic
def transform_inputs(typing: Any, table: Any, shift: Any, target: Any, step: Any) -> Any:
    """B' x B of the 4 x 4 positions whose addresses stand in a table, to 16 places `step` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        table, shift, target, step = arguments
        places = _addresses(builder, table, 4, 4, shift)
        values = [[load_activations(builder, a, None, 16) for a in row] for row in places]
        for row in _along_both(builder, _input, values):
            for value in row:
                bits = as_bfloat16(builder, value)
                builder.store(bits, pointer(builder, target, bits.type), align=2)
                target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@intrinsic
def transform_outputs(typing: Any, source: Any, step: Any, corner: Any, column: Any, row: Any) -> Any:
    """A' m A of 16 float32 places `step` bytes apart, to the 2 x 2 positions at `corner`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, corner, column, row = arguments
        values = _load_places(builder, source, step)
        for line in _along_both(builder, _output, values):
            target = corner
            for value in line:
                bits = as_bfloat16(builder, value)
                builder.store(bits, pointer(builder, target, bits.type), align=2)
                target = builder.add(target, column)
            corner = builder.add(corner, row)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), generate


@intrinsic
def transform_filters(typing: Any, source: Any, tap: Any, target: Any, step: Any) -> Any:
    """G w G' of nine float32 taps `tap` bytes apart, to 16 places `step` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, tap, target, step = arguments
        for value in _transformed_filters(builder, source, tap):
            bits = as_bfloat16(builder, value)
            builder.store(bits, pointer(builder, target, bits.type), align=2)
            target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


@intrinsic
def pair_filters(typing: Any, first: Any, second: Any, tap: Any, target: Any, step: Any) -> Any:
    """As `transform_filters`, of two filters, as pairs."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        first, second, tap, target, step = arguments
        pairs = (_transformed_filters(builder, source, tap) for source in (first, second))
        _store_pairs(builder, zip(*pairs, strict=True), target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5), generate


@intrinsic
def transform_filter_gradients(typing: Any, source: Any, step: Any, target: Any, tap: Any) -> Any:
    """G' u G of 16 float32 places `step` bytes apart, to nine float32 taps `tap` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, target, tap = arguments
        for row in _along_both(builder, _filter_gradient, _load_places(builder, source, step)):
            for value in row:
                builder.store(value, pointer(builder, target, LANES), align=4)
                target = builder.add(target, tap)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4), generate


def _load_places(builder: Any, source: Any, step: Any) -> list[list[Any]]:
    values = []
    for _place in range(16):
        values.append(load(builder, source, LANES))
        source = builder.add(source, step)
    return [values[i : i + 4] for i in range(0, 16, 4)]


def _transformed_filters(builder: Any, source: Any, tap: Any) -> list[Any]:
    taps = []
    for _tap in range(9):
        taps.append(load(builder, source, LANES))
        source = builder.add(source, tap)
    rows = _along_both(builder, _filters, [taps[i : i + 3] for i in range(0, 9, 3)])
    return [value for row in rows for value in row]


def _store_pairs(builder: Any, pairs: Iterable[tuple[Any, Any]], target: Any, step: Any) -> None:
    """Two vectors as words of a bfloat16 of each, to places `step` bytes apart."""
    wide = ir.VectorType(INT32, 16)
    for values in pairs:
        low, high = (builder.zext(as_bfloat16(builder, value), wide) for value in values)
        words = builder.or_(low, builder.shl(high, ir.Constant(wide, [16] * 16)))
        builder.store(words, pointer(builder, target, wide), align=4)
        target = builder.add(target, step)


def _combine(builder: Any, rows: list[list[Any]], weights: list[Any]) -> list[Any]:
    """The sum of two rows of vectors, each times its weight."""
    first, second = (splat(builder, weight, 16) for weight in weights)
    return [
        builder.fadd(builder.fmul(a, first), builder.fmul(b, second), flags=("contract",))
        for a, b in zip(*rows, strict=True)
    ]


def _row_of_pairs(step_along: Callable[..., list[Any]], width: int) -> Any:
    def transform(typing: Any, table: Any, shift: Any, upper: Any, lower: Any, target: Any, step: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            table, shift, upper, lower, target, step = arguments
            places = _addresses(builder, table, 4, width, shift)
            tiles = []
            for tile in (places[:2], places[2:]):
                rows = [[load_activations(builder, a, None, 16) for a in row] for row in tile]
                tiles.append(step_along(builder, _combine(builder, rows, [upper, lower])))
            _store_pairs(builder, zip(*tiles, strict=True), target, step)
            return context.get_dummy_value()

        real = types.float32
        return types.void(types.intp, types.intp, real, real, types.intp, types.intp), generate

    return intrinsic(transform)


# One row of B' x B, or of A y A', of two tiles, as pairs, to four places `step` bytes apart. The table has
# the addresses of the two rows of positions that are combined, `upper` and `lower` being their weights, first
# those of one tile, then those of the other.
pair_inputs, pair_output_gradients = _row_of_pairs(_input, 4), _row_of_pairs(_output_gradient, 2)
