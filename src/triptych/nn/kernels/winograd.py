"""3 x 3 convolutions of bfloat16 maps by Winograd's F(2 x 2, 3 x 3), on a CPU's products of pairs.

A tile is four positions of the output, 2 x 2, and the 4 x 4 of the input around them. Transformed
(`winograd_transforms`), a tile has 16 places, and at each of them the channels' sums are one product of
matrices: 16 products where a window has 36. As many tiles at a time are transformed, multiplied and
transformed back as the second-level cache holds.

Maps are (N, side, side, channels) as channels_last tensors lie in memory, filters (out, 3, 3, in); all by
address. Sides are even, channels multiples of 64. Tiles are numbered image by image, row by row.
Only where `has_pairs()`.
"""

import numpy as np

from triptych.kernels.jit import kernel
from triptych.kernels.squares import BITS, HEIGHT, ROWS, SQUARE, VECTORS, add_square
from triptych.kernels.strips import multiply_strip
from triptych.kernels.vectors import prefetch, transpose_words
from triptych.nn.kernels.winograd_transforms import (
    pair_filters,
    pair_inputs,
    pair_output_gradients,
    transform_filter_gradients,
    transform_filters,
    transform_inputs,
    transform_outputs,
)

LINE = 64  # bytes of a cache line
WIDE = SQUARE * 4  # bytes of a row of sums, or of pairs
TILES, DEEP = 48, 64  # tiles at a time: a multiple of 6, of 2

# Line i of B' x adds two lines of x, line i of A y two lines of y, with these weights.
UPPER, LOWER = np.array([0, 1, 2, 1]), np.array([2, 2, 1, 3])
UPPER_WEIGHT, LOWER_WEIGHT = np.array([1, 1, 1, 1], np.float32), np.array([-1, 1, -1, -1], np.float32)
TOP_WEIGHT, BOTTOM_WEIGHT = np.array([1, 1, 1, 0], np.float32), np.array([0, 1, -1, -1], np.float32)


@kernel
def pack_filters(task, filters, channels, depth, packed):
    """16 filters, float32, for a convolution: [out / 64][place][in / 2][out % 64][in % 2]."""
    row = 9 * depth * 4
    rows = np.empty((16, 16, 32), np.uint16)
    at = rows.ctypes.data
    out = task * 16
    for channel in range(0, depth, 32):
        for line in range(16):
            source = filters + (out + line) * row + channel * 4
            transform_filters(source, depth * 4, at + line * 64, 16 * 64)
            transform_filters(source + 64, depth * 4, at + line * 64 + 32, 16 * 64)
        for place in range(16):
            target = packed + ((out // SQUARE * 16 + place) * depth + channel) * SQUARE * 2 + out % SQUARE * 4
            transpose_words(at + place * 16 * 64, 64, target, SQUARE * 4)
    rows[0, 0, 0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def pack_turned_filters(task, filters, channels, depth, packed):
    """16 inputs of all filters, turned by 180 degrees: [in / 64][place][out / 2][in % 64][out % 2]."""
    row, tap = 9 * depth * 4, depth * 4
    channel = task * 16
    for out in range(0, channels, 2):
        source = filters + out * row + 8 * tap + channel * 4
        target = packed + (channel // SQUARE * 16 * channels + out) * SQUARE * 2 + channel % SQUARE * 4
        pair_filters(source, source + row, -tap, target, channels * SQUARE * 2)


@kernel
def _corner(tile, maps, side, row):
    """The address of a tile's first position, `row` bytes being one position."""
    half = side // 2
    line = tile // half
    return maps + (line * 2 * side + tile % half * 2) * row


@kernel
def _around(tile, corner, side, row, nowhere, table):
    """The addresses of the 4 x 4 positions around a tile; `nowhere` for those outside its image."""
    half = side // 2
    top, left = tile // half % half * 2 - 1, tile % half * 2 - 1
    corner -= (side + 1) * row
    for y in range(4):
        for x in range(4):
            inside = 0 <= top + y < side and 0 <= left + x < side
            table[4 * y + x] = corner + (y * side + x) * row if inside else nowhere


@kernel
def _fetch(corner, row, width):
    """Ask for the two new positions in each of two lines, `row` bytes apart, of a tile that comes later."""
    for line in range(2):
        for byte in range(0, width, LINE):
            prefetch(corner + line * row + byte)


@kernel
def convolve(task, tasks, source, side, depth, filters, target, channels, tiles):
    """Write all channels of the target map for a share of the tiles, by filters packed for it."""
    table, nothing = np.empty(16, np.int64), np.zeros(depth, np.uint16)
    addresses = table.ctypes.data
    # places are a line further apart than needed, so that they do not fall into the same sets of the cache
    step, out_step = TILES * depth * 2 + LINE, TILES * WIDE + LINE
    inputs, products = np.empty(16 * step + LINE, np.uint8), np.empty(16 * out_step + LINE, np.uint8)
    left, out = inputs.ctypes.data, products.ctypes.data
    left, out = left + -left % LINE, out + -out % LINE
    row, out_row = depth * 2, channels * 2
    blocks = -(-tiles // TILES)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * TILES
        count = min(TILES, tiles - first)
        for tile in range(count):
            corner = _corner(first + tile, source, side, row)
            _fetch(corner + 3 * side * row, side * row, 2 * row)
            _around(first + tile, corner, side, row, nothing.ctypes.data, table)
            for channel in range(0, depth, 16):
                transform_inputs(addresses, channel * 2, left + tile * row + channel * 2, step)
        for wide in range(0, channels, SQUARE):
            for place in range(16):
                right = filters + (wide // SQUARE * 16 + place) * depth * SQUARE * 2
                for line in range(0, count, HEIGHT):
                    a, c = left + place * step + line * row, out + place * out_step + line * WIDE
                    multiply_strip(
                        a, row, 4, right, SQUARE * 4, c, SQUARE * 4, depth // 2, ROWS, VECTORS, BITS
                    )
            for tile in range(count):
                corner = _corner(first + tile, target, side, out_row) + wide * 2
                for channel in range(0, SQUARE, 16):
                    numbers = out + (tile * SQUARE + channel) * 4
                    transform_outputs(numbers, out_step, corner + channel * 2, out_row, side * out_row)
    nothing[0] = inputs[0] + products[0] + table[0]  # uses, as above


@kernel
def correlate(task, source, side, depth, gradient, channels, span, tiles, parts, partial):
    """The filters' gradient at a line of four places, of `span` channels of the output, from some tiles.

    Task: line + 4 * (block of channels + blocks * part). Partial: [part][place][out / 64][in / 64][64][64].
    """
    line, first_channel = task % 4, task // 4 % (channels // span) * span
    part = task // 4 // (channels // span)
    around, pair = np.empty(16, np.int64), np.empty(16, np.int64)
    corners, nothing = np.empty(8, np.int64), np.zeros(max(depth, channels), np.uint16)
    nowhere = nothing.ctypes.data
    step, out_step = DEEP * depth * 2 + LINE, DEEP * span * 2 + LINE
    inputs, outputs = np.empty(4 * step + LINE, np.uint8), np.empty(4 * out_step + LINE, np.uint8)
    right, left = inputs.ctypes.data, outputs.ctypes.data
    right, left = right + -right % LINE, left + -left % LINE
    row, out_row = depth * 2, channels * 2
    square = SQUARE * SQUARE * 4
    across = depth // SQUARE * square
    sums = partial + (part * 16 + line * 4) * (channels // SQUARE) * across + first_channel // SQUARE * across
    blocks = -(-tiles // DEEP)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for tile in range(0, DEEP, 2):
            for second in range(2):
                number = block * DEEP + tile + second
                if number >= tiles:
                    pair[8 * second : 8 * second + 8] = nowhere
                    corners[4 * second : 4 * second + 4] = nowhere
                    continue
                corner = _corner(number, source, side, row)
                below = corner + (UPPER[line] + 1) * side * row
                _fetch(below, (LOWER[line] - UPPER[line]) * side * row, 2 * row)
                _around(number, corner, side, row, nowhere, around)
                for x in range(4):
                    pair[8 * second + x] = around[4 * UPPER[line] + x]
                    pair[8 * second + 4 + x] = around[4 * LOWER[line] + x]
                corner = _corner(number, gradient, side, out_row) + first_channel * 2
                for position in range(2):
                    _fetch(corner + 2 * side * out_row + position * out_row, side * out_row, 2 * span)
                corners[4 * second] = corner
                corners[4 * second + 1] = corner + out_row
                corners[4 * second + 2] = corner + side * out_row
                corners[4 * second + 3] = corner + (side + 1) * out_row
            for channel in range(0, depth, 16):
                target = right + (channel // SQUARE * DEEP + tile) * SQUARE * 2 + channel % SQUARE * 4
                weights = UPPER_WEIGHT[line], LOWER_WEIGHT[line]
                pair_inputs(pair.ctypes.data, channel * 2, weights[0], weights[1], target, step)
            for channel in range(0, span, 16):
                target = left + (channel // SQUARE * DEEP + tile) * SQUARE * 2 + channel % SQUARE * 4
                weights = TOP_WEIGHT[line], BOTTOM_WEIGHT[line]
                pair_output_gradients(
                    corners.ctypes.data, channel * 2, weights[0], weights[1], target, out_step
                )
        for column in range(4):
            for tall in range(span // SQUARE):
                for wide in range(depth // SQUARE):
                    a = left + column * out_step + tall * DEEP * SQUARE * 2
                    b = right + column * step + wide * DEEP * SQUARE * 2
                    c = sums + column * (channels // SQUARE) * across + tall * across + wide * square
                    add_square(a, b, c, WIDE, DEEP // 2)
    nothing[0] = inputs[0] + outputs[0] + around[0] + pair[0] + corners[0]  # uses, as above


@kernel
def finish_gradient(task, partial, depth, gradient):
    """16 filters' gradients, float32, from all parts' sums (parts, 16, out / 64, in / 64, 64, 64)."""
    for out in range(16 * task, 16 * task + 16):
        tall, row = out // SQUARE, out % SQUARE
        for wide in range(depth // SQUARE):
            for part in range(1, partial.shape[0]):
                for place in range(16):
                    total, more = partial[0, place, tall, wide, row], partial[part, place, tall, wide, row]
                    for lane in range(SQUARE):
                        total[lane] += more[lane]
            numbers = partial[0, 0, tall, wide, row].ctypes.data
            for channel in range(0, SQUARE, 16):
                target = gradient + (out * 9 * depth + wide * SQUARE + channel) * 4
                transform_filter_gradients(numbers + channel * 4, partial.strides[1], target, depth * 4)
