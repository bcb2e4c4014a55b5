"""3 x 3 convolutions of float32 maps by Winograd's minimal filtering, on any CPU's vector registers.

A tile is 4 x 4 positions of the output, its window 6 x 6 of the input. Transformed (`winograd_transforms`),
it has 36 places, and at each of them the channels' sums are one product of matrices; the filter itself would
take 144. The gradient of the input is found in the same way, by turned filters.

Maps, filters, tiles and addresses are as in `winograd`; channels come in multiples of 64.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import transpose_words
from triptych.kernels.conv.compiled_winograd_bf16 import LINE, corner_of, fetch, look_around
from triptych.kernels.conv.winograd_transforms import (
    transform_filter_gradients,
    transform_filters,
    transform_inputs,
    transform_output_gradients,
    transform_outputs,
)
from triptych.kernels.gemm.registers import add_strip, multiply_strip

PLACES, SPAN = 36, 64  # a tile's; channels of the output whose sums are transformed back together
SIX, TILE = (0,) * 6, (0,) * 4  # as kernels take their shapes: tuples, whose lengths count
ZERO = np.float32(0)  # a type
# 12 sums of 8 numbers in the 16 registers there are; 16 rows are twice 6 and once 4
ROWS, FEW_ROWS, ONE = (0,) * 6, (0,) * 4, (0,)
HEIGHT = len(ROWS)
DEEP = 128  # tiles whose products are summed at a time: as many as the first-level cache holds


@kernel
def pack_filters(task, filters, channels, depth, packed):
    """16 filters for a convolution: [place][out / 16][in][out % 16]."""
    row, out = 9 * depth * 4, task * 16
    rows = np.empty((PLACES, 16, 16), np.float32)
    at = np.int64(rows.ctypes.data)
    for channel in range(0, depth, 16):
        for number in range(16):
            source = filters + (out + number) * row + channel * 4
            transform_filters(source, depth * 4, at + number * LINE, 16 * LINE, SIX, ZERO)
        for place in range(PLACES):
            target = packed + ((place * channels + out) * depth + channel * 16) * 4
            transpose_words(at + place * 16 * LINE, LINE, target, LINE)
    rows[0, 0, 0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def pack_turned_filters(task, filters, channels, depth, packed):
    """16 inputs of all filters, turned by 180 degrees: [place][in / 16][out][in % 16]."""
    row, tap, channel = 9 * depth * 4, depth * 4, task * 16
    for out in range(channels):
        source = filters + out * row + 8 * tap + channel * 4
        target = packed + (channel * channels + out * 16) * 4
        transform_filters(source, -tap, target, channels * depth * 4, SIX, ZERO)


@kernel
def convolve(task, tasks, source, depth, filters, target, channels, half, tiles, at_once):
    """Write all channels of the target map for a share of the tiles, by filters packed for it."""
    table, nothing = np.empty(PLACES, np.int64), np.zeros(depth, np.float32)
    addresses, nowhere = np.int64(table.ctypes.data), np.int64(nothing.ctypes.data)
    row, out_row, wide = depth * 4, channels * 4, SPAN * 4
    # places are a line further apart than needed, so that they do not fall into the same sets of the cache
    step, out_step = at_once * row + LINE, at_once * wide + LINE
    inputs, products = np.empty(PLACES * step + LINE, np.uint8), np.empty(PLACES * out_step + LINE, np.uint8)
    left, out = np.int64(inputs.ctypes.data), np.int64(products.ctypes.data)
    left, out = left + -left % LINE, out + -out % LINE
    distance, out_distance = half * 4 * row, half * 4 * out_row
    blocks = -(-tiles // at_once)
    for block in range(task * blocks // tasks, (task + 1) * blocks // tasks):
        first = block * at_once
        count = min(at_once, tiles - first)
        for number in range(count):
            corner = corner_of(first + number, source, half, 4, row)
            fetch(corner + 5 * distance, 4, distance, 4 * row)
            look_around(first + number, corner, half, 4, row, nowhere, SIX, table)
            for channel in range(0, depth, 16):
                at = left + number * row + channel * 4
                transform_inputs(addresses, channel * 4, at, step, SIX, SIX, ZERO)
        for begin in range(0, channels, SPAN):
            for place in range(PLACES):
                for panel in range(0, SPAN, 16):
                    right = filters + (place * channels + begin + panel) * row
                    for number in range(0, count, HEIGHT):
                        a = left + place * step + number * row
                        c = out + place * out_step + number * wide + panel * 4
                        multiply_strip(a, row, 4, right, LINE, c, wide, depth, ROWS, ONE, ZERO)
            for number in range(count):
                corner = corner_of(first + number, target, half, 4, out_row) + begin * 4
                for channel in range(0, SPAN, 16):
                    sums, at = out + number * wide + channel * 4, corner + channel * 4
                    transform_outputs(sums, out_step, at, out_row, out_distance, SIX, TILE, ZERO)
    nothing[0] = inputs[0] + products[0] + table[0]  # uses, as above


@kernel
def spread(task, tasks, source, depth, half, first, count, gradient, packed):
    """Transform some tiles of the input, or of the output's gradient: [place][channel / 16][tile][16]."""
    table, nothing = np.empty(PLACES, np.int64), np.zeros(depth, np.float32)
    addresses, nowhere = np.int64(table.ctypes.data), np.int64(nothing.ctypes.data)
    row, step = depth * 4, depth * count * 4
    distance = half * 4 * row
    for number in range(task * count // tasks, (task + 1) * count // tasks):
        corner = corner_of(first + number, source, half, 4, row)
        fetch(corner + (4 if gradient else 5) * distance, 4, distance, 4 * row)
        if gradient:
            for position in range(16):
                table[position] = corner + position // 4 * distance + position % 4 * row
        else:
            look_around(first + number, corner, half, 4, row, nowhere, SIX, table)
        for channel in range(0, depth, 16):
            at = packed + (channel * count + number * 16) * 4
            if gradient:
                transform_output_gradients(addresses, channel * 4, at, step, TILE, SIX, ZERO)
            else:
                transform_inputs(addresses, channel * 4, at, step, SIX, SIX, ZERO)
    nothing[0] = table[0]  # uses, as above


@kernel
def correlate(task, gradients, channels, inputs, depth, count, sums):
    """Add the products over transformed tiles: [place][out][in]. Task: place, block of 16 outputs."""
    place, out = task // (channels // 16), task % (channels // 16) * 16
    row = depth * 4
    left = gradients + (place * channels + out) * count * 4
    target = sums + (place * channels + out) * row
    for begin in range(0, count, DEEP):
        deep = min(DEEP, count - begin)
        for channel in range(0, depth, 16):
            b = inputs + ((place * depth + channel) * count + begin * 16) * 4
            for line in range(0, 12, HEIGHT):
                a, c = left + begin * LINE + line * 4, target + channel * 4 + line * row
                add_strip(a, 4, LINE, b, LINE, c, row, deep, ROWS, ONE, ZERO)
            a, c = left + begin * LINE + 12 * 4, target + channel * 4 + 12 * row
            add_strip(a, 4, LINE, b, LINE, c, row, deep, FEW_ROWS, ONE, ZERO)


@kernel
def finish_gradient(task, sums, channels, depth, gradient):
    """16 filters' gradients from their sums."""
    for out in range(16 * task, 16 * task + 16):
        for channel in range(0, depth, 16):
            source = sums + (out * depth + channel) * 4
            target = gradient + (out * 9 * depth + channel) * 4
            transform_filter_gradients(source, channels * depth * 4, target, depth * 4, SIX)
