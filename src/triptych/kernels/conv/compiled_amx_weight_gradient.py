"""Gradients of convolutions' filters in bfloat16 on the CPU's tile registers.

The sum over images and positions of products of the output's gradient and the input. Both are packed
once for all channels and filter taps: 32 images a tile, the gradient with images side by side, the input in
pairs of images. Shapes and addresses are as in `convolution`.
"""

import numpy as np

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.vectors import pair_rows, transpose_pairs
from triptych.kernels.gemm.amx import accumulate, begin_sums, end_sums
from triptych.kernels.gemm.amx_instructions import CONFIGURATION, TILE, tile_configure

PANEL = 2**19  # bytes of one operand that should stay in the second-level cache


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
            begin_sums(c, row, begin == 0)
            for entry in range(starts[tap], starts[tap + 1]):
                a = left + (places_out[entry] * blocks + begin) * 2 * TILE
                b = right + (places_in[entry] * blocks + begin) * 2 * TILE
                accumulate(a, b, end - begin, 2 * TILE)
            end_sums(c, row)


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
                begin_sums(c, row, begin == 0)
                for line in range(begin, end):
                    above = line * stride + down
                    if above < 0 or above >= side:
                        continue
                    a = left + ((line - begin) * out + low) * 2 * TILE
                    b = right + (above % held * side + low * stride + across) * 2 * TILE
                    accumulate(a, b, high - low, 2 * TILE * stride)
                end_sums(c, row)
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above
