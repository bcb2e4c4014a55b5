"""Convolutions of small maps in bfloat16 on the CPU's tile registers.

Libraries slide windows over one image at a time, and a map of 2 x 2 or 4 x 4 is mostly border. Here a
tile holds the *same position of 16 or 32 images*: each pair of an input position and an output
position that a filter tap connects is one matrix product over the batch, and border taps simply
do not occur (on a 4 x 4 map a 3 x 3 filter has 100 such pairs where a window has 144 places, on a
2 x 2 map 16 of 36).

Maps are (N, positions, channels) as channels_last tensors lie in memory, bfloat16 seen as uint16, given
by address. N and all channels come in multiples of 32. Positions are numbered row by row. Only with
AMX.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import convert_row, pair_rows, transpose_words
from triptych.kernels.gemm.amx_instructions import (
    CONFIGURATION,
    TILE,
    tile_configure,
    tile_load,
    tile_multiply,
    tile_store,
    tile_zero,
)

BLOCK = 32  # images and channels come in multiples of this
BITS = np.uint16(0)  # a type


class Pairs(NamedTuple):
    """Which positions a filter connects, as lists behind one another.

    Entry e of list i, from starts[i] to starts[i + 1], is position first[e] of one map, and second[e]:
    of the list's own kind what the builder says.
    """

    starts: np.ndarray
    first: np.ndarray
    second: np.ndarray


def _lists(count: int, entries: list[tuple[int, int, int]]) -> Pairs:
    """Group (list, first, second) by list, keeping their order."""
    table = np.array(entries, np.int64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    starts = np.cumsum([0, *np.bincount(table[:, 0], minlength=count)], dtype=np.int64)
    return Pairs(starts, table[:, 1].copy(), table[:, 2].copy())


@cache
def connections(side: int, size: int, stride: int) -> tuple[Pairs, Pairs, Pairs]:
    """What a square filter connects on a square map, padded by half the filter.

    Args:
        side: of the input map.
        size: of the filter, odd.
        stride: steps between two places of the filter.

    Returns:
        For each output position (input position, tap); for each input position (output position, tap);
        for each tap (input position, output position).
    """
    out = (side - 1) // stride + 1
    triples = []
    for y in range(out):
        for x in range(out):
            for row in range(size):
                for column in range(size):
                    v, u = y * stride + row - size // 2, x * stride + column - size // 2
                    if 0 <= v < side and 0 <= u < side:
                        triples.append((v * side + u, y * out + x, row * size + column))
    return (
        _lists(out * out, [(o, i, t) for i, o, t in triples]),
        _lists(side * side, [(i, o, t) for i, o, t in triples]),
        _lists(size * size, [(t, i, o) for i, o, t in triples]),
    )


@kernel
def pack_filters(task, weights, taps, channels_out, channels_in, packed):
    """32 output channels of filters (out, taps, in) in the layout that the products over `in` take.

    [out / 32][tap][in / 32][half of out][in / 2 % 16][out % 16][in % 2]
    """
    row = taps * channels_in * 2
    for tap in range(taps):
        for channel in range(0, channels_in, 32):
            source = weights + task * 32 * row + tap * channels_in * 2 + channel * 2
            target = packed + ((task * taps + tap) * (channels_in // 32) + channel // 32) * 2 * TILE
            transpose_words(source, row, target, 64)
            transpose_words(source + 16 * row, row, target + TILE, 64)


@kernel
def pack_turned_filters(task, weights, taps, channels_out, channels_in, packed):
    """32 input channels of filters (out, taps, in) in the layout that the products over `out` take."""
    row = taps * channels_in * 2
    for tap in range(taps):
        for channel in range(0, channels_out, 2):
            source = weights + channel * row + tap * channels_in * 2 + task * 64
            block = (task * taps + tap) * (channels_out // 32) + channel // 32
            target = packed + block * 2 * TILE + channel % 32 * 32
            pair_rows(source, source + row, target)
            pair_rows(source + 32, source + row + 32, target + TILE)


@kernel
def convolve(
    task, source, positions_in, channels_in, packed, taps, target, positions, channels, starts, places, tap_of
):
    """Write all channels of the target map at all positions, for images 32 * task to 32 * task + 31.

    The sum over (place, tap) of a target position's list, and over the source's channels.
    """
    tile_configure(CONFIGURATION.ctypes.data)
    buffer = np.empty(2 * TILE, np.float32)
    part = buffer.ctypes.data
    part += -part % 64
    image = positions_in * channels_in * 2
    first = source + task * 32 * image
    deep = channels_in // 32
    for block in range(channels // 32):
        for position in range(positions):
            tile_zero(0)
            tile_zero(1)
            tile_zero(2)
            tile_zero(3)
            for entry in range(starts[position], starts[position + 1]):
                a = first + places[entry] * channels_in * 2
                b = packed + (block * taps + tap_of[entry]) * deep * 2 * TILE
                for _k in range(deep):
                    tile_load(4, a, image)
                    tile_load(6, b, 64)
                    tile_multiply(0, 4, 6)
                    tile_load(5, a + 16 * image, image)
                    tile_multiply(2, 5, 6)
                    tile_load(7, b + TILE, 64)
                    tile_multiply(1, 4, 7)
                    tile_multiply(3, 5, 7)
                    a += 64
                    b += 2 * TILE
            tile_store(0, part, 128)
            tile_store(1, part + 64, 128)
            tile_store(2, part + 16 * 128, 128)
            tile_store(3, part + 16 * 128 + 64, 128)
            line = target + ((task * 32 * positions + position) * channels + block * 32) * 2
            for row in range(32):
                convert_row(part + row * 128, line, BITS)
                convert_row(part + row * 128 + 64, line + 32, BITS)
                line += positions * channels * 2
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above
