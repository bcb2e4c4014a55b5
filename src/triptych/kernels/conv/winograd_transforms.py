"""Transforms of Winograd's minimal filtering for 3 x 3 filters, 16 channels at a time.

`winograd_lines` along columns, then along rows. How many places a line has, and how many values a window,
are given as tuples of that length. Addresses are integers. Numbers are bfloat16 unless said; `like` is a
number of the type they have instead, uint16 for bfloat16.
"""

from collections.abc import Callable, Iterable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from triptych.kernels.compiler.llvm import (
    INT32,
    as_bfloat16,
    load,
    load_activations,
    offset,
    pointer,
    splat,
)
from triptych.kernels.conv.winograd_matrices import (
    FILTER_GRADIENTS,
    FILTERS,
    INPUTS,
    LANES,
    OUTPUT_GRADIENTS,
    OUTPUTS,
)


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


def _store(builder: Any, value: Any, target: Any, like: Any) -> None:
    stored = value if like == types.float32 else as_bfloat16(builder, value)
    builder.store(stored, pointer(builder, target, stored.type), align=2)


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


def _transform_windows(steps: dict[int, Callable[..., list[Any]]]) -> Any:
    """B' x B, or A y A', of a window whose addresses stand in a table, to places `step` bytes apart."""

    def transform(
        typing: Any, table: Any, shift: Any, target: Any, step: Any, window: Any, line: Any, like: Any
    ) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            table, shift, target, step, *_ = arguments
            places = _addresses(builder, table, window.count, window.count, shift)
            values = [[load_activations(builder, a, like, 16) for a in row] for row in places]
            for row in _along_both(builder, steps[line.count], values):
                for value in row:
                    _store(builder, value, target, like)
                    target = builder.add(target, step)
            return context.get_dummy_value()

        return types.void(*[types.intp] * 4, window, line, like), generate

    return intrinsic(transform)


transform_inputs = _transform_windows(INPUTS)
transform_output_gradients = _transform_windows(OUTPUT_GRADIENTS)


@intrinsic
def transform_outputs(
    typing: Any, source: Any, step: Any, corner: Any, column: Any, row: Any, line: Any, tile: Any, like: Any
) -> Any:
    """A' m A of float32 places `step` bytes apart, to the positions of a tile at `corner`."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, step, corner, column, row, *_ = arguments
        values = _load_rows(builder, source, step, line.count)
        for results in _along_both(builder, OUTPUTS[line.count, tile.count], values):
            target = corner
            for value in results:
                _store(builder, value, target, like)
                target = builder.add(target, column)
            corner = builder.add(corner, row)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 5, line, tile, like), generate


@intrinsic
def transform_filters(
    typing: Any, source: Any, tap: Any, target: Any, step: Any, line: Any, like: Any
) -> Any:
    """G w G' of nine float32 taps `tap` bytes apart, to places `step` bytes apart."""

    def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        source, tap, target, step, *_ = arguments
        for value in _transformed_filters(builder, source, tap, line.count):
            _store(builder, value, target, like)
            target = builder.add(target, step)
        return context.get_dummy_value()

    return types.void(*[types.intp] * 4, line, like), generate


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
