"""Convolutions of small maps in bfloat16 on the CPU's tile registers.

Libraries slide windows over one image at a time, and a map of 2 x 2 or 4 x 4 is mostly border. Here a
tile holds the *same position of 16 or 32 images*: each pair of an input position and an output
position that a filter tap connects is one matrix product over the batch, and border taps simply
do not occur (on a 4 x 4 map a 3 x 3 filter has 100 such pairs where a window has 144 places, on a
2 x 2 map 16 of 36).

Maps are (N, positions, channels) as channels_last tensors lie in memory, bfloat16 seen as uint16, given
by address. N and all channels come in multiples of 32. Positions are numbered row by row. Only where
`has_tiles()`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from triptych.kernels.jit import kernel
from triptych.kernels.tiles import (
    CONFIGURATION,
    tile_configure,
    tile_load,
    tile_multiply,
    tile_store,
    tile_zero,
)
from triptych.kernels.vectors import convert_row, pair_rows, transpose_pairs, transpose_words

TILE = 1024  # bytes: 16 rows of 64
BLOCK = 32  # images and channels come in multiples of this
PANEL = 2**19  # bytes of one operand that should stay in the second-level cache
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


@kernel
def pack_pairs(task, source, images, positions, channels, packed):
    """A map in pairs of images; a task is a position.

    [channel / 32][position][image / 32][half of channel][image / 2 % 16][channel % 16][image % 2]
    """
    blocks = images // 32
    image = positions * channels * 2
    for block in range(blocks):
        for channel in range(0, channels, 32):
            place = ((channel // 32 * positions + task) * blocks + block) * 2 * TILE
            line = source + block * 32 * image + (task * channels + channel) * 2
            for pair in range(16):
                pair_rows(line, line + image, packed + place + pair * 64)
                pair_rows(line + 32, line + image + 32, packed + place + TILE + pair * 64)
                line += 2 * image


@kernel
def pack_turned(task, source, images, positions, channels, packed):
    """A map with images side by side; a task is a position.

    [channel / 32][position][image / 32][half of channel][channel % 16][image % 32]
    """
    blocks = images // 32
    image = positions * channels * 2
    for block in range(blocks):
        for channel in range(0, channels, 32):
            place = ((channel // 32 * positions + task) * blocks + block) * 2 * TILE
            line = source + block * 32 * image + (task * channels + channel) * 2
            transpose_pairs(line, image, packed + place, 64)
            transpose_pairs(line + 32, image, packed + place + TILE, 64)


@kernel
def correlate(
    task,
    turned,
    positions_out,
    channels_out,
    pairs,
    positions_in,
    channels_in,
    images,
    taps,
    gradient,
    starts,
    places_in,
    places_out,
):
    """The filters' gradient (out, taps, in), float32, for 32 output and 32 input channels.

    The sum over (input position, output position) of a tap's list, and over images.
    """
    tile_configure(CONFIGURATION.ctypes.data)
    blocks = images // 32
    across = channels_in // 32
    row = taps * channels_in * 4
    left = turned + task // across * positions_out * blocks * 2 * TILE
    right = pairs + task % across * positions_in * blocks * 2 * TILE
    corner = gradient + task // across * 32 * row + task % across * 128
    step = max(1, PANEL // (2 * TILE * max(positions_in, positions_out)))
    for begin in range(0, blocks, step):
        end = min(begin + step, blocks)
        for tap in range(taps):
            c = corner + tap * channels_in * 4
            if begin == 0:
                tile_zero(0)
                tile_zero(1)
                tile_zero(2)
                tile_zero(3)
            else:
                tile_load(0, c, row)
                tile_load(1, c + 64, row)
                tile_load(2, c + 16 * row, row)
                tile_load(3, c + 16 * row + 64, row)
            for entry in range(starts[tap], starts[tap + 1]):
                a = left + (places_out[entry] * blocks + begin) * 2 * TILE
                b = right + (places_in[entry] * blocks + begin) * 2 * TILE
                for _block in range(begin, end):
                    tile_load(4, a, 64)
                    tile_load(6, b, 64)
                    tile_multiply(0, 4, 6)
                    tile_load(5, a + TILE, 64)
                    tile_multiply(2, 5, 6)
                    tile_load(7, b + TILE, 64)
                    tile_multiply(1, 4, 7)
                    tile_multiply(3, 5, 7)
                    a += 2 * TILE
                    b += 2 * TILE
            tile_store(0, c, row)
            tile_store(1, c + 64, row)
            tile_store(2, c + 16 * row, row)
            tile_store(3, c + 16 * row + 64, row)


@kernel
def correlate_rows(task, x, side, channels_in, dy, out, channels_out, size, stride, rows, partial):
    """The filters' gradient (out, tap, in), float32, over 32 images: for maps too large to be packed whole.

    A few rows at a time are packed as `correlate` wants them and stay in the cache while all channels
    and taps use them; a row of the input is packed once. Task i writes to the i-th of `partial`.
    """
    tile_configure(CONFIGURATION.ctypes.data)
    deep, wide, taps = channels_in // 32, channels_out // 32, size * size
    held = (rows - 1) * stride + size  # rows of the input under `rows` rows of the output
    buffer = np.empty((deep * held * side + wide * rows * out) * 2 * TILE + 64, np.uint8)
    pairs = buffer.ctypes.data
    pairs += -pairs % 64
    turned = pairs + deep * held * side * 2 * TILE
    image_in, image_out = side * side * channels_in * 2, out * out * channels_out * 2
    source, gradient = x + task * 32 * image_in, dy + task * 32 * image_out
    row = taps * channels_in * 4
    total = partial + task * channels_out * row
    packed = 0  # rows of the input so far
    for begin in range(0, out, rows):
        end = min(begin + rows, out)
        for line in range(begin, end):
            for column in range(out):
                place = gradient + (line * out + column) * channels_out * 2
                for block in range(wide):
                    target = turned + ((block * rows + line - begin) * out + column) * 2 * TILE
                    transpose_pairs(place + block * 64, image_out, target, 64)
                    transpose_pairs(place + block * 64 + 32, image_out, target + TILE, 64)
        last = min(side, (end - 1) * stride + size - size // 2)
        for line in range(packed, last):
            for column in range(side):
                place = source + (line * side + column) * channels_in * 2
                for block in range(deep):
                    target = pairs + ((block * held + line % held) * side + column) * 2 * TILE
                    for pair in range(16):
                        first = place + block * 64 + 2 * pair * image_in
                        pair_rows(first, first + image_in, target + pair * 64)
                        pair_rows(first + 32, first + image_in + 32, target + TILE + pair * 64)
        packed = max(packed, last)
        for block in range(wide * deep):
            left = turned + block // deep * rows * out * 2 * TILE
            right = pairs + block % deep * held * side * 2 * TILE
            corner = total + block // deep * 32 * row + block % deep * 128
            for tap in range(taps):
                down, across = tap // size - size // 2, tap % size - size // 2
                low = max(0, (-across + stride - 1) // stride)
                high = min(out, (side - 1 - across) // stride + 1)
                c = corner + tap * channels_in * 4
                if begin == 0:
                    tile_zero(0)
                    tile_zero(1)
                    tile_zero(2)
                    tile_zero(3)
                else:
                    tile_load(0, c, row)
                    tile_load(1, c + 64, row)
                    tile_load(2, c + 16 * row, row)
                    tile_load(3, c + 16 * row + 64, row)
                for line in range(begin, end):
                    above = line * stride + down
                    if above < 0 or above >= side:
                        continue
                    a = left + ((line - begin) * out + low) * 2 * TILE
                    b = right + (above % held * side + low * stride + across) * 2 * TILE
                    for _column in range(low, high):
                        tile_load(4, a, 64)
                        tile_load(6, b, 64)
                        tile_multiply(0, 4, 6)
                        tile_load(5, a + TILE, 64)
                        tile_multiply(2, 5, 6)
                        tile_load(7, b + TILE, 64)
                        tile_multiply(1, 4, 7)
                        tile_multiply(3, 5, 7)
                        a += 2 * TILE
                        b += 2 * TILE * stride
                tile_store(0, c, row)
                tile_store(1, c + 64, row)
                tile_store(2, c + 16 * row, row)
                tile_store(3, c + 16 * row + 64, row)
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above
