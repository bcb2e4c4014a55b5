"""3 x 3 convolutions of bfloat16 maps by Winograd's minimal filtering, on a CPU's products of pairs.

A tile is 2 x 2 positions of the output and the window of the input around them: 4 x 4, or 5 x 5 with a stride
of 2. Transformed (`winograd_transforms`), it has 16 or 25 places, and at each of them the channels' sums are
one product of matrices; the filter itself would take 36. As many tiles at a time are transformed, multiplied
and transformed back as the second-level cache holds. The gradient of the input is found in the same way, by
turned filters; with a stride a tile of it is 4 x 4 positions, a window 3 x 3.

Maps are (N, side, side, channels) as channels_last tensors lie in memory, filters (out, 3, 3, in); all by
address. `half` is how many tiles lie along a side; tiles are numbered image by image, row by row. Channels
come in multiples of 64. `window`, `line` and `tile` are tuples, whose lengths count. Only with
AVX512-BF16. Addresses are made signed: where numbers of both kinds meet, Numba makes them float64.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import prefetch, transpose_words
from triptych.kernels.conv.winograd_transforms import (
    pair_filters,
    pair_inputs,
    pair_output_gradients,
    transform_filter_gradients,
    transform_filters,
    transform_inputs,
    transform_outputs,
)
from triptych.kernels.gemm.avx512_bf16 import BITS, HEIGHT, ROWS, SQUARE, VECTORS, add_square
from triptych.kernels.gemm.registers import multiply_strip

LINE = 64  # bytes of a cache line
WIDE = SQUARE * 4  # bytes of a row of sums, or of pairs
TILES, FEW_TILES, DEEP = 48, 24, 64  # tiles at a time: multiples of 6, of 6, of 2
ONE = np.float32(1)

# Line i of B' x adds two lines of x, line i of A y two lines of y; without a stride and with it.
UPPER = np.array([[0, 1, 2, 1, 0], [1, 3, 0, 2, 4]])
LOWER = np.array([[2, 2, 1, 3, 0], [1, 3, 2, 2, 2]])
LOWER_WEIGHT = np.array([[-1, 1, -1, -1, 0], [0, 0, -1, 0, -1]], np.float32)
TOP_WEIGHT = np.array([[1, 1, 1, 0, 0], [1, 0, 1, 1, 0]], np.float32)
BOTTOM_WEIGHT = np.array([[0, 1, -1, -1, 0], [0, 1, 0, 1, 1]], np.float32)


@kernel
def pack_filters(task, filters, channels, depth, packed, line):
    """16 filters, float32, for a convolution: [out / 64][place][in / 2][out % 64][in % 2]."""
    places, row = len(line) * len(line), 9 * depth * 4
    rows = np.empty((places, 16, 32), np.uint16)
    at = np.int64(rows.ctypes.data)
    out = task * 16
    for channel in range(0, depth, 32):
        for number in range(16):
            source, target = filters + (out + number) * row + channel * 4, at + number * 64
            transform_filters(source, depth * 4, target, 16 * 64, line, BITS)
            transform_filters(source + 64, depth * 4, target + 32, 16 * 64, line, BITS)
        for place in range(places):
            first = (out // SQUARE * places + place) * depth + channel
            target = packed + first * SQUARE * 2 + out % SQUARE * 4
            transpose_words(at + place * 16 * 64, 64, target, WIDE)
    rows[0, 0, 0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def pack_turned_filters(task, filters, channels, depth, packed, line):
    """16 inputs of all filters, turned by 180 degrees: [in / 64][place][out / 2][in % 64][out % 2]."""
    places, row, tap = len(line) * len(line), 9 * depth * 4, depth * 4
    channel = task * 16
    for out in range(0, channels, 2):
        source = filters + out * row + 8 * tap + channel * 4
        first = channel // SQUARE * places * channels + out
        target = packed + first * SQUARE * 2 + channel % SQUARE * 4
        pair_filters(source, source + row, -tap, target, channels * SQUARE * 2, line)


@kernel
def corner_of(number, maps, half, size, row):
    """The address of the first of a tile's `size` x `size` positions, `row` bytes being one position."""
    return maps + (number // half * size * half * size + number % half * size) * row


@kernel
def look_around(number, corner, half, size, row, nowhere, window, table):
    """The addresses of the window around a tile; `nowhere` for positions outside its image."""
    side = half * size
    before = 0 if len(window) == 3 else 1
    top, left = number // half % half * size - before, number % half * size - before
    corner -= before * (side + 1) * row
    for y in range(len(window)):
        for x in range(len(window)):
            inside = 0 <= top + y < side and 0 <= left + x < side
            table[len(window) * y + x] = corner + (y * side + x) * row if inside else nowhere


@kernel
def fetch(corner, rows, distance, bytes_):
    """Ask for what is new in `rows` lines of a map, `distance` bytes apart, for a tile that comes later."""
    for line in range(rows):
        for byte in range(0, bytes_, LINE):
            prefetch(corner + line * distance + byte)


@kernel
def convolve(task, tasks, source, size, depth, filters, target, channels, half, tiles, window, line, tile):
    """Write all channels of the target map for a share of the tiles, by filters packed for it.

    `size` is how many positions of the source, along a side, belong to a tile.
    """
    places, at_once = len(line) * len(line), TILES if len(line) == 4 else FEW_TILES
    table, nothing = np.empty(25, np.int64), np.zeros(depth, np.uint16)
    addresses, nowhere = np.int64(table.ctypes.data), np.int64(nothing.ctypes.data)
    # places are a line further apart than needed, so that they do not fall into the same sets of the cache
    step, out_step = at_once * depth * 2 + LINE, at_once * WIDE + LINE
    inputs, products = np.empty(places * step + LINE, np.uint8), np.empty(places * out_step + LINE, np.uint8)
    left, out = np.int64(inputs.ctypes.data), np.int64(products.ctypes.data)
    left, out = left + -left % LINE, out + -out % LINE
    row, out_row = depth * 2, channels * 2
    distance, out_distance = half * size * row, half * len(tile) * out_row
    below = len(window) - (0 if len(window) == 3 else 1)
    blocks = -(-tiles // at_once)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * at_once
        count = min(at_once, tiles - first)
        for number in range(count):
            corner = corner_of(first + number, source, half, size, row)
            fetch(corner + below * distance, size, distance, size * row)
            look_around(first + number, corner, half, size, row, nowhere, window, table)
            for channel in range(0, depth, 16):
                at = left + number * row + channel * 2
                transform_inputs(addresses, channel * 2, at, step, window, window, BITS)
        for wide in range(0, channels, SQUARE):
            for place in range(places):
                right = filters + (wide // SQUARE * places + place) * depth * SQUARE * 2
                for number in range(0, count, HEIGHT):
                    a, c = left + place * step + number * row, out + place * out_step + number * WIDE
                    multiply_strip(a, row, 4, right, WIDE, c, WIDE, depth // 2, ROWS, VECTORS, BITS)
            for number in range(count):
                corner = corner_of(first + number, target, half, len(tile), out_row) + wide * 2
                for channel in range(0, SQUARE, 16):
                    sums, at = out + number * WIDE + channel * 4, corner + channel * 2
                    transform_outputs(sums, out_step, at, out_row, out_distance, line, tile, BITS)
    nothing[0] = inputs[0] + products[0] + table[0]  # uses, as above


@kernel
def correlate(task, source, size, depth, gradient, channels, span, half, tiles, parts, partial, line):
    """The filters' gradient at a line of places, of `span` channels of the output, from some tiles.

    Task: line + lines * (block of channels + blocks * part).
    Partial: [part][place][out / 64][in / 64][64][64].
    """
    lines, kind = len(line), len(line) - 4
    number, rest = task % lines, task // lines
    first_channel, part = rest % (channels // span) * span, rest // (channels // span)
    around, pair = np.empty(25, np.int64), np.empty(20, np.int64)
    corners, nothing = np.empty(8, np.int64), np.zeros(max(depth, channels), np.uint16)
    nowhere = np.int64(nothing.ctypes.data)
    step, out_step = DEEP * depth * 2 + LINE, DEEP * span * 2 + LINE
    inputs, outputs = np.empty(lines * step + LINE, np.uint8), np.empty(lines * out_step + LINE, np.uint8)
    right, left = np.int64(inputs.ctypes.data), np.int64(outputs.ctypes.data)
    right, left = right + -right % LINE, left + -left % LINE
    row, out_row = depth * 2, channels * 2
    distance, out_distance = half * size * row, half * 2 * out_row
    square = SQUARE * WIDE
    across = depth // SQUARE * square
    layer = channels // SQUARE * across
    sums = partial + (part * lines + number) * lines * layer + first_channel // SQUARE * across
    upper, lower, weight = UPPER[kind, number], LOWER[kind, number], LOWER_WEIGHT[kind, number]
    top, bottom = TOP_WEIGHT[kind, number], BOTTOM_WEIGHT[kind, number]
    blocks = -(-tiles // DEEP)
    for block in range(part * blocks // parts, (part + 1) * blocks // parts):
        for tile in range(0, DEEP, 2):
            for second in range(2):
                this = block * DEEP + tile + second
                a, b = 2 * lines * second, 4 * second
                if this >= tiles:
                    pair[a : a + 2 * lines] = nowhere
                    corners[b : b + 4] = nowhere
                    continue
                corner = corner_of(this, source, half, size, row)
                fetch(corner + (upper + size - 1) * distance, 2, (lower - upper) * distance, size * row)
                look_around(this, corner, half, size, row, nowhere, line, around)
                for x in range(lines):
                    pair[a + x] = around[lines * upper + x]
                    pair[a + lines + x] = around[lines * lower + x]
                corner = corner_of(this, gradient, half, 2, out_row) + first_channel * 2
                for x in range(2):
                    fetch(corner + 2 * out_distance + x * out_row, 2, out_distance, 2 * span)
                    corners[b + x] = corner + x * out_row
                    corners[b + 2 + x] = corner + out_distance + x * out_row
            for channel in range(0, depth, 16):
                target = right + (channel // SQUARE * DEEP + tile) * SQUARE * 2 + channel % SQUARE * 4
                pair_inputs(pair.ctypes.data, channel * 2, ONE, weight, target, step, line)
            for channel in range(0, span, 16):
                target = left + (channel // SQUARE * DEEP + tile) * SQUARE * 2 + channel % SQUARE * 4
                pair_output_gradients(corners.ctypes.data, channel * 2, top, bottom, target, out_step, line)
        for column in range(lines):
            for tall in range(span // SQUARE):
                for wide in range(depth // SQUARE):
                    a = left + column * out_step + tall * DEEP * SQUARE * 2
                    b = right + column * step + wide * DEEP * SQUARE * 2
                    add_square(a, b, sums + column * layer + tall * across + wide * square, WIDE, DEEP // 2)
    nothing[0] = inputs[0] + outputs[0] + around[0] + pair[0] + corners[0]  # uses, as above


@kernel
def finish_gradient(task, partial, depth, gradient, line):
    """16 filters' gradients, float32, from all parts' sums (parts, places, out / 64, in / 64, 64, 64)."""
    for out in range(16 * task, 16 * task + 16):
        tall, row = out // SQUARE, out % SQUARE
        for wide in range(depth // SQUARE):
            for part in range(1, partial.shape[0]):
                for place in range(partial.shape[1]):
                    total, more = partial[0, place, tall, wide, row], partial[part, place, tall, wide, row]
                    for lane in range(SQUARE):
                        total[lane] += more[lane]
            numbers = np.int64(partial[0, 0, tall, wide, row].ctypes.data)
            for channel in range(0, SQUARE, 16):
                target = gradient + (out * 9 * depth + wide * SQUARE + channel) * 4
                transform_filter_gradients(numbers + channel * 4, partial.strides[1], target, depth * 4, line)
