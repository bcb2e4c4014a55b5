"""Winograd's minimal filtering for 3 x 3 kernels: its transforms of 16 channels at a time.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016, section 4.1. In one dimension a few
values of the output are y = A' [(G w) * (B' x)], and in two y = A' [(G w G') * (B' x B)] A. From the gradient
dy of the output, that of the kernel is G' [(A dy A') * (B' x B)] G. F(m, 3) gives m values of the output:

    transform       values, products        two dimensions   where
    F(2, 3)         2 from 4 instead of 6   16 of 36         bfloat16
    F(4, 3)         4 from 6 instead of 12  36 of 144        float32: its sums lose two digits
    F(2, 3) / 2     2 from 5 instead of 6   25 of 36         bfloat16, stride 2
    back of / 2     4 from 5                                 its input gradient

With a stride of 2 the kernel's middle reads every other value of the input, and its ends the rest: a kernel
of two taps, of which two outputs take three products.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from triptych.kernels.compiler.llvm import (
    LANES,
    as_bfloat16,
    converted,
    instruction,
    interleave,
    load,
    load_floats,
    offset,
    splat,
    store,
)

# By the length of a window and of a line of products: B'.
INPUTS = {
    (4, 4): [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]],
    (6, 6): [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    (5, 5): [[0, 1, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, -1, 0, 0], [0, 0, 1, 0, 0], [0, 0, -1, 0, 1]],
    (3, 5): [[1, 0, 0], [0, 1, 0], [1, -1, 0], [0, 1, 0], [0, -1, 1]],
}
# By the length of a line of products and of a tile of the output: A'.
OUTPUTS = {
    (4, 2): [[1, 1, 1, 0], [0, 1, -1, -1]],
    (6, 4): [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    (5, 2): [[1, 0, 1, 1, 0], [0, 1, 0, 1, 1]],
    (5, 4): [[1, 0, 0, 0, 0], [0, 0, 1, 1, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1]],
}
# By the length of a window (of the input) or a tile (of the output) and of a line of products: B' or A.
WINDOWS = INPUTS | {(tile, line): np.transpose(matrix) for (line, tile), matrix in OUTPUTS.items()}
# By the length of a line of products: G.
KERNELS = {
    4: [[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]],
    6: [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    5: [[0, 1, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1], [0, 0, 1]],
}

Terms = list[tuple[Any, float]]  # vectors and their factors


def _sum(builder: Any, terms: Terms) -> Any:
    """The sum of vectors times factors, a positive one first."""
    terms = sorted(terms, key=lambda term: term[1] < 0)
    total = None
    for value, factor in terms:
        if total is None and abs(factor) == 1:
            total = value if factor == 1 else builder.fneg(value)
        elif total is None:
            total = builder.fmul(value, ir.Constant(LANES, [factor] * 16))
        elif abs(factor) == 1:
            total = (builder.fadd if factor > 0 else builder.fsub)(total, value)
        else:
            product = builder.fmul(value, ir.Constant(LANES, [factor] * 16), flags=("contract",))
            total = builder.fadd(total, product, flags=("contract",))
    return total


def apply(builder: Any, matrix: Any, values: list[Any]) -> list[Any]:
    """The product of a matrix and vectors; what two columns or two rows share is added once.

    Two columns that differ by signs alone become their vectors' sum and difference; so do the like and the
    unlike terms of two rows.
    """
    m = np.array(matrix, np.float64)
    rows: list[Terms] = [[] for _ in m]
    left = list(range(m.shape[1]))
    while left:
        column = left.pop(0)
        twins = [c for c in left if (abs(m[:, c]) == abs(m[:, column])).all()]
        if not twins or np.count_nonzero(m[:, column]) < 2:
            for row, terms in enumerate(rows):
                if m[row, column]:
                    terms.append((values[column], m[row, column]))
            continue
        left.remove(twins[0])
        pair = values[column], values[twins[0]]
        total, difference = builder.fadd(*pair), builder.fsub(*pair)
        for row, terms in enumerate(rows):
            if m[row, column]:
                same = m[row, column] == m[row, twins[0]]
                terms.append((total if same else difference, m[row, column]))
    results: list[Any] = [None] * len(rows)
    for row, terms in enumerate(rows):
        if results[row] is not None:
            continue
        twin = next((r for r in range(row + 1, len(rows)) if len(terms) > 2 and _twins(terms, rows[r])), None)
        if twin is None:
            results[row] = _sum(builder, terms)
            continue
        like = [term for term, other in zip(terms, rows[twin], strict=True) if term[1] == other[1]]
        unlike = [term for term, other in zip(terms, rows[twin], strict=True) if term[1] != other[1]]
        even, odd = _sum(builder, like), _sum(builder, unlike)
        results[row], results[twin] = builder.fadd(even, odd), builder.fsub(even, odd)
    return results


def _twins(terms: Terms, others: Terms) -> bool:
    same = [(value, abs(factor)) for value, factor in terms] == [(v, abs(f)) for v, f in others]
    return same and 0 < sum(t[1] == o[1] for t, o in zip(terms, others, strict=True)) < len(terms)


def line_sums(matrix):
    """Rows of a matrix with at most two ones as (i, j, factor): x[i] + factor * x[j]."""
    table = []
    for row in np.array(matrix):
        first = int(np.argmax(row))
        others = [column for column in np.flatnonzero(row) if column != first]
        table.append((first, others[0], row[others[0]]) if others else (first, first, 0))
    firsts, seconds, factors = zip(*table, strict=True)
    return np.array(firsts), np.array(seconds), np.array(factors, np.float32)


def _along_both(builder: Any, matrix: Any, rows: list[list[Any]]) -> list[list[Any]]:
    """The matrix applied to each column, then to each row."""
    columns = [apply(builder, matrix, list(column)) for column in zip(*rows, strict=True)]
    return [apply(builder, matrix, list(row)) for row in zip(*columns, strict=True)]


def _addresses(builder: Any, table: Any, rows: int, width: int, shift: Any) -> list[list[Any]]:
    """Rows of addresses from a table of int64, each `shift` bytes further on."""
    places = [offset(builder, table, 8 * i) for i in range(rows * width)]
    flat = [builder.add(load(builder, place, ir.IntType(64), 8), shift) for place in places]
    return [flat[row * width : (row + 1) * width] for row in range(rows)]


def _store_pairs(builder: Any, pairs: Iterable[tuple[Any, Any]], target: Any, step: Any) -> None:
    """Two vectors as words of a bfloat16 of each, to places `step` bytes apart."""
    for values in pairs:
        store(builder, interleave(builder, *(as_bfloat16(builder, value) for value in values)), target, 4)
        target = builder.add(target, step)


def _store_all(builder: Any, rows: list[list[Any]], target: Any, step: Any, like: Any) -> None:
    for value in (value for row in rows for value in row):
        store(builder, converted(builder, value, like), target)
        target = builder.add(target, step)


def _load_square(builder: Any, source: Any, step: Any, width: int) -> list[list[Any]]:
    """A square of float32 vectors `step` bytes apart."""
    values = []
    for _ in range(width * width):
        values.append(load(builder, source, LANES))
        source = builder.add(source, step)
    return [values[i : i + width] for i in range(0, width * width, width)]


@instruction()
def transform_window(builder, kinds, table, shift, target, step, window, line, like):
    """B' x B of a window, or A dy A' of a tile, by a table of addresses, to places `step` bytes apart."""
    size, like = kinds[4].count, kinds[6]
    places = _addresses(builder, table, size, size, shift)
    values = [[load_floats(builder, a, like) for a in row] for row in places]
    _store_all(builder, _along_both(builder, WINDOWS[size, kinds[5].count], values), target, step, like)


@instruction()
def transform_outputs(builder, kinds, source, step, corner, column, row, line, tile, like):
    """A' m A of float32 places `step` bytes apart, to the positions of a tile at `corner`."""
    values = _load_square(builder, source, step, kinds[5].count)
    for results in _along_both(builder, OUTPUTS[kinds[5].count, kinds[6].count], values):
        _store_all(builder, [results], corner, column, kinds[7])
        corner = builder.add(corner, row)


@instruction()
def transform_kernel(builder, kinds, source, tap, target, step, line, like):
    """G w G' of nine float32 taps `tap` bytes apart, to places `step` bytes apart."""
    taps = _load_square(builder, source, tap, 3)
    _store_all(builder, _along_both(builder, KERNELS[kinds[4].count], taps), target, step, kinds[5])


@instruction()
def pair_kernels(builder, kinds, first, second, tap, target, step, line):
    """As `transform_kernel`, of two kernels, as pairs of bfloat16."""
    sources = (_load_square(builder, source, tap, 3) for source in (first, second))
    both = (_along_both(builder, KERNELS[kinds[5].count], taps) for taps in sources)
    pairs = ([value for row in rows for value in row] for rows in both)
    _store_pairs(builder, zip(*pairs, strict=True), target, step)


@instruction()
def transform_kernel_gradient(builder, kinds, source, step, target, tap, line):
    """G' u G of float32 places `step` bytes apart, to nine float32 taps `tap` bytes apart."""
    values = _load_square(builder, source, step, kinds[4].count)
    taps = _along_both(builder, np.array(KERNELS[kinds[4].count]).T, values)
    _store_all(builder, taps, target, tap, types.float32)


@instruction()
def pair_line(builder, kinds, table, shift, upper, lower, target, step, window, line):
    """One line of `transform_window` of two windows, as pairs of bfloat16, to places `step` bytes apart.

    The table has the addresses of the two rows of positions that are summed, with the factors `upper` and
    `lower`, first those of one window, then those of the other.
    """
    width, windows = kinds[6].count, []
    places = _addresses(builder, table, 4, width, shift)
    first, second = splat(builder, upper), splat(builder, lower)
    for window_places in (places[:2], places[2:]):
        above, below = ([load_floats(builder, a, None) for a in row] for row in window_places)
        sums = [
            builder.fadd(builder.fmul(a, first), builder.fmul(b, second), flags=("contract",))
            for a, b in zip(above, below, strict=True)
        ]
        windows.append(apply(builder, WINDOWS[width, kinds[7].count], sums))
    _store_pairs(builder, zip(*windows, strict=True), target, step)
