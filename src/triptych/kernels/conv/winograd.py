"""3 x 3 convolutions by Winograd's minimal filtering, in bfloat16 and in float32: what both share.

A tile is 2 x 2 or 4 x 4 positions of the output, a window the input around it. Transformed
(`winograd_transforms`), a tile has 16, 25 or 36 places, and at each of them the channels' sums are one matrix
product. As many tiles at a time are transformed, multiplied and transformed back as the second-level cache
holds. The input gradient is found in the same way, by transposed and flipped weights; with a stride of 2 a
tile of it is 4 x 4 positions, a window 3 x 3.

Maps are (N, side, side, channels) as channels_last tensors lie in memory, weights (out, 3, 3, in) float32;
all by address. Tiles are numbered image by image, row by row. Channels come in multiples of 64. The lengths
of the tuples `window`, `line` and `tile` are constants of the compiled code. `like` is a number of the maps'
type, `panel` the number of outputs of the weights that are packed side by side. Addresses are made signed:
Numba turns a sum of a signed and an unsigned number into float64.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.compiler.vectors import bytes_of, prefetch, transpose_words
from triptych.kernels.conv.winograd_transforms import (
    pair_kernels,
    transform_kernel,
    transform_outputs,
    transform_window,
)
from triptych.kernels.gemm.vector import multiply

LINE = 64  # bytes of a cache line
SPAN = 64  # channels of the output that are multiplied and transformed back together
TASKS = 32  # slices of the tiles: what a thread works on at a time
TWO, THREE, FOUR, FIVE, SIX = ((0,) * count for count in (2, 3, 4, 5, 6))


def transformed_convolution(
    source: Tensor,
    weights: Tensor,
    shape: tuple[int, int],
    kind: tuple[tuple[int, ...], ...],
    at_once: int,
    panel: int,
    like: Any,
    *,
    transposed: bool = False,
) -> Tensor:
    """A convolution or, by transposed weights, an input gradient; weights are (out, in, 3, 3) float32.

    `shape` is how many tiles lie along a side, and how many positions of the source belong to each; `at_once`
    tiles, a multiple of 6, are transformed at a time.
    """
    (n, depth), (tiles_per_side, size), (_, line, tile) = source.shape[:2], shape, kind
    channels = weights.shape[1 if transposed else 0]
    weights = weights.contiguous(memory_format=torch.channels_last)
    packed = torch.empty(len(line) ** 2 * depth * channels, dtype=source.dtype)
    pack = pack_transposed_weights if transposed else pack_weights
    addresses = weights.data_ptr(), *weights.shape[:2], packed.data_ptr()
    parallel(pack, channels // 16, *addresses, panel, line, like)
    side = tiles_per_side * len(tile)
    target = torch.empty(n, channels, side, side, dtype=source.dtype, memory_format=torch.channels_last)
    maps = source.data_ptr(), size, depth, packed.data_ptr(), target.data_ptr(), channels
    tiles = tiles_per_side, n * tiles_per_side**2, at_once
    parallel(convolve, TASKS, TASKS, *maps, tiles, panel, kind, like)
    return target


@kernel
def pack_weights(task, weights, channels, depth, packed, panel, line, like):
    """16 outputs of the weights, transformed: [out / panel][place], each as products over `in` need it."""
    places, row, item = len(line) * len(line), 9 * depth * 4, bytes_of(like)
    rows = np.empty((places, 16, 16), np.uint32)
    at = np.int64(rows.ctypes.data)
    out, deep = task * 16, LINE // item
    for channel in range(0, depth, deep):
        for number in range(16):
            for part in range(0, deep, 16):
                source = weights + (out + number) * row + (channel + part) * 4
                target = at + number * LINE + part * item
                transform_kernel(source, depth * 4, target, 16 * LINE, line, like)
        for place in range(places):
            first = (out // panel * places + place) * depth + channel
            target = packed + first * panel * item + out % panel * 4
            transpose_words(at + place * 16 * LINE, LINE, target, panel * 4)
    rows[0, 0, 0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def pack_transposed_weights(task, weights, channels, depth, packed, panel, line, like):
    """16 inputs of all weights, flipped and transformed: [in / panel][place], for products over `out`."""
    places, row, tap, item = len(line) * len(line), 9 * depth * 4, depth * 4, bytes_of(like)
    channel = task * 16
    for out in range(0, channels, 4 // item):
        source = weights + out * row + 8 * tap + channel * 4
        first = channel // panel * places * channels + out
        target, step = packed + first * panel * item + channel % panel * 4, channels * panel * item
        if item == 2:
            pair_kernels(source, source + row, -tap, target, step, line)
        else:
            transform_kernel(source, -tap, target, step, line, like)


@kernel
def corner_of(number, maps, tiles_per_side, size, row):
    """The address of the first of a tile's `size` x `size` positions, `row` bytes being one position."""
    line, column = number // tiles_per_side * size, number % tiles_per_side * size
    return maps + (line * tiles_per_side * size + column) * row


@kernel
def look_around(number, corner, tiles_per_side, size, row, nowhere, window, table):
    """The addresses of the window around a tile; `nowhere` for positions outside its image."""
    side = tiles_per_side * size
    before = 0 if len(window) == 3 else 1
    top, left = (
        number // tiles_per_side % tiles_per_side * size - before,
        number % tiles_per_side * size - before,
    )
    corner -= before * (side + 1) * row
    for y in range(len(window)):
        for x in range(len(window)):
            inside = 0 <= top + y < side and 0 <= left + x < side
            table[len(window) * y + x] = corner + (y * side + x) * row if inside else nowhere


@kernel
def prefetch_rows(corner, rows, distance, bytes_):
    """Bring what is new in `rows` lines of a map, `distance` bytes apart, nearer for a later tile."""
    for line in range(rows):
        for byte in range(0, bytes_, LINE):
            prefetch(corner + line * distance + byte)


@kernel
def convolve(task, tasks, source, size, depth, weights, target, channels, tiles, panel, kind, like):
    """Write all channels of the target map for a share of the tiles, by weights packed for it.

    `size` is how many positions of the source, along a side, belong to a tile.
    """
    (tiles_per_side, count_tiles, at_once), (window, line, tile) = tiles, kind
    places, item, wide = len(line) * len(line), bytes_of(like), SPAN * 4
    row, out_row = depth * item, channels * item
    table, nothing = np.empty(places, np.int64), np.zeros(row, np.uint8)
    addresses, nowhere = np.int64(table.ctypes.data), np.int64(nothing.ctypes.data)
    # places are a line further apart than needed, so that they do not fall into the same sets of the cache
    step, out_step = at_once * row + LINE, at_once * wide + LINE
    inputs, products = np.empty(places * step + LINE, np.uint8), np.empty(places * out_step + LINE, np.uint8)
    left, out = np.int64(inputs.ctypes.data), np.int64(products.ctypes.data)
    left, out = left + -left % LINE, out + -out % LINE
    distance, out_distance = tiles_per_side * size * row, tiles_per_side * len(tile) * out_row
    below = len(window) - (0 if len(window) == 3 else 1)
    blocks = -(-count_tiles // at_once)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * at_once
        count = min(at_once, count_tiles - first)
        for number in range(count):
            corner = corner_of(first + number, source, tiles_per_side, size, row)
            prefetch_rows(corner + below * distance, size, distance, size * row)
            look_around(first + number, corner, tiles_per_side, size, row, nowhere, window, table)
            for channel in range(0, depth, 16):
                at = left + number * row + channel * item
                transform_window(addresses, channel * item, at, step, window, line, like)
        rows = -(-count // 6) * 6  # whole micro-kernels; what is beyond the last tile is not used
        for begin in range(0, channels, SPAN):
            for place in range(places):
                a, c = left + place * step, out + place * out_step
                for start in range(0, SPAN, panel):
                    b = weights + ((begin + start) // panel * places + place) * depth * panel * item
                    multiply(a, row, 4, b, panel * 4, c + start * 4, wide, rows, panel, row // 4, False, like)
            for number in range(count):
                corner = corner_of(first + number, target, tiles_per_side, len(tile), out_row) + begin * item
                for channel in range(0, SPAN, 16):
                    sums, at = out + number * wide + channel * 4, corner + channel * item
                    transform_outputs(sums, out_step, at, out_row, out_distance, line, tile, like)
    nothing[0] = inputs[0] + products[0] + table[0]  # uses: an address alone keeps no memory
