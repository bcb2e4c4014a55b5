"""Convolutions with AMX: small maps, and the gradients of all weights.

PyTorch's convolution reaches a tenth of the hardware's speed on maps of 4 x 4 and 2 x 2 positions, which are
mostly border to a sliding window, and half of what these kernels reach for the weight gradient of large maps.
Here a tile holds the *same position of 16 or 32 images*: each pair of an input and an output position that a
tap of the weights connects is one matrix product over the batch, and taps on the border do not occur (on a
4 x 4 map a 3 x 3 kernel connects 100 pairs where its window has 144 places, on a 2 x 2 map 16 of 36).

Maps are bfloat16 and channels_last: (N, positions, channels) in memory, positions row by row. Weights are
bfloat16, (out, taps, in) in memory, their gradients float32. N and channels come in multiples of 32.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.compiler.vectors import convert_row, pair_rows, transpose_pairs
from triptych.kernels.conv.batched_gemm import Connections, connections
from triptych.kernels.gemm import pack_columns, pack_rows
from triptych.kernels.gemm.amx import BLOCK, accumulate, begin, load_sums, store_sums

WEIGHTS = torch.bfloat16  # the number format of the weights
SMALL = 6  # positions a side: largest output map whose values and input gradients are computed here
NARROW = 2**15  # product of channels: weights whose gradient stays in a core's cache
ROWS = 4  # of the output, packed at a time
PANEL = 2**19  # bytes of one packed operand that should stay in the second-level cache
BITS = np.uint16(0)  # a type


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and weight gradient are computed here, for an input map of `side`."""
    out = (side - 1) // stride + 1
    fits = n % 32 == channels_in % 32 == channels_out % 32 == 0
    return fits and out <= SMALL, fits and out <= SMALL, fits


def _empty(n: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(n, channels, side, side, dtype=dtype, memory_format=torch.channels_last)


def output(x: Tensor, weights: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with weights (O, I, size, size), padded by half their size."""
    y = _empty(len(x), len(weights), (x.shape[2] - 1) // stride + 1, torch.bfloat16)
    return _convolve(x, weights, pack_weights, y, connections(x.shape[2], weights.shape[2], stride)[0])


def input_gradient(dy: Tensor, weights: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, h, h)."""
    dx = _empty(len(dy), weights.shape[1], side, torch.bfloat16)
    return _convolve(dy, weights, pack_transposed_weights, dx, connections(side, weights.shape[2], stride)[1])


def _convolve(source: Tensor, weights: Tensor, pack: Any, target: Tensor, pairs: Connections) -> Tensor:
    channels_out, channels_in, size, _ = weights.shape
    packed = torch.empty_like(weights)
    shape = size * size, channels_out, channels_in
    parallel(pack, target.shape[1] // 32, weights.data_ptr(), *shape, packed.data_ptr())
    maps = [(one.data_ptr(), one.shape[2] ** 2, one.shape[1]) for one in (source, target)]
    parallel(convolve, len(source) // 32, *maps[0], packed.data_ptr(), size * size, *maps[1], *pairs)
    return target


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The weights' gradient (O, I, size, size), float32, from x (N, I, H, H) and dy (N, O, h, h)."""
    n, channels_in, side, _ = x.shape
    channels, out = dy.shape[1], dy.shape[2]
    if out > SMALL and channels_in * channels <= NARROW:
        partial = torch.empty(n // 32, channels, size, size, channels_in)
        shape = size, stride, min(ROWS, out)
        addresses = x.data_ptr(), side, channels_in, dy.data_ptr(), out, channels
        parallel(weight_gradient_by_rows, n // 32, *addresses, *shape, partial.data_ptr())
        return partial.sum(dim=0).permute(0, 3, 1, 2)
    right, left = torch.empty_like(x), torch.empty_like(dy)
    parallel(pack_maps, side**2, x.data_ptr(), n, side**2, channels_in, right.data_ptr(), False)
    parallel(pack_maps, out**2, dy.data_ptr(), n, out**2, channels, left.data_ptr(), True)
    dw = _empty(channels, channels_in, size, torch.float32)
    maps = left.data_ptr(), out**2, right.data_ptr(), side**2, channels_in, n
    tasks, pairs = channels // 32 * (channels_in // 32), connections(side, size, stride)[2]
    parallel(weight_gradient_by_positions, tasks, *maps, size * size, dw.data_ptr(), pairs)
    return dw


@kernel
def pack_weights(task, weights, taps, channels_out, channels_in, packed):
    """32 outputs of the weights for products over `in`: [out / 32][tap][in / 2][out % 32][in % 2]."""
    row = taps * channels_in * 2
    for tap in range(taps):
        target = packed + (task * taps + tap) * channels_in * 64
        pack_columns(weights + task * 32 * row + tap * channels_in * 2, row, channels_in, 32, target, 128)


@kernel
def pack_transposed_weights(task, weights, taps, channels_out, channels_in, packed):
    """32 inputs of the weights for products over `out`: [in / 32][tap][out / 2][in % 32][out % 2]."""
    row = taps * channels_in * 2
    for tap in range(taps):
        target = packed + (task * taps + tap) * channels_out * 64
        pack_rows(weights + tap * channels_in * 2 + task * 64, row, channels_out, 32, target, 128)


@kernel
def convolve(
    task, source, positions_in, channels_in, packed, taps, target, positions, channels, starts, places, tap_of
):
    """Write all channels of the target map at all positions, for images 32 * task to 32 * task + 31.

    The sum over (place, tap) of a target position's connections, and over the source's channels.
    """
    begin()
    buffer = np.empty(2048, np.uint32)
    part = np.int64(buffer.ctypes.data)
    part += -part % 64
    image = positions_in * channels_in * 2
    first = source + task * 32 * image
    for block in range(channels // 32):
        for position in range(positions):
            load_sums(part, 128, True, True, False)
            for entry in range(starts[position], starts[position + 1]):
                a = first + places[entry] * channels_in * 2
                b = packed + (block * taps + tap_of[entry]) * channels_in * 64
                accumulate(a, image, 64, b, 128, BLOCK, channels_in // 32, True, True)
            store_sums(part, 128, True, True)
            line = target + ((task * 32 * positions + position) * channels + block * 32) * 2
            for row in range(32):
                convert_row(part + row * 128, line, BITS)
                convert_row(part + row * 128 + 64, line + 32, BITS)
                line += positions * channels * 2
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above


@kernel
def _pack_images(source, image, target):
    """32 channels of 32 images in pairs of images: [image / 2][channel][image % 2]."""
    for pair in range(16):
        line, place = source + 2 * pair * image, target + pair * 128
        pair_rows(line, line + image, place)
        pair_rows(line + 32, line + image + 32, place + 64)


@kernel
def _transpose_images(source, image, target):
    """32 channels of 32 images with images side by side: [channel][image]."""
    transpose_pairs(source, image, target, 64)
    transpose_pairs(source + 32, image, target + 1024, 64)


@kernel
def pack_maps(task, source, images, positions, channels, packed, gradient):
    """A position of the maps: [channel / 32][position][image / 32], then as `_pack_images` has it.

    With `gradient`, then as `_transpose_images` has it.
    """
    image = positions * channels * 2
    for block in range(images // 32):
        for channel in range(0, channels, 32):
            place = packed + ((channel // 32 * positions + task) * (images // 32) + block) * BLOCK
            corner = source + block * 32 * image + (task * channels + channel) * 2
            if gradient:
                _transpose_images(corner, image, place)
            else:
                _pack_images(corner, image, place)


@kernel
def weight_gradient_by_positions(
    task, left, positions_out, right, positions_in, channels_in, images, taps, gradient, pairs
):
    """The weights' gradient (out, taps, in) for 32 output and 32 input channels, from packed maps.

    The sum over (input position, output position) of a tap's connections, and over images.
    """
    begin()
    starts, places_in, places_out = pairs
    blocks = images // 32
    across = channels_in // 32
    row = taps * channels_in * 4
    a = left + task // across * positions_out * blocks * BLOCK
    b = right + task % across * positions_in * blocks * BLOCK
    corner = gradient + task // across * 32 * row + task % across * 128
    step = max(1, PANEL // (BLOCK * max(positions_in, positions_out)))
    for first in range(0, blocks, step):
        count = min(step, blocks - first)
        for tap in range(taps):
            c = corner + tap * channels_in * 4
            load_sums(c, row, True, True, first > 0)
            for entry in range(starts[tap], starts[tap + 1]):
                left_block = a + (places_out[entry] * blocks + first) * BLOCK
                right_block = b + (places_in[entry] * blocks + first) * BLOCK
                accumulate(left_block, 64, BLOCK, right_block, 128, BLOCK, count, True, True)
            store_sums(c, row, True, True)


@kernel
def weight_gradient_by_rows(task, x, side, channels_in, dy, out, channels_out, size, stride, rows, partial):
    """The weights' gradient (out, tap, in) over 32 images, for maps too large to be packed whole.

    `rows` rows of the output are packed at a time and stay in the cache while all channels and taps use
    them; a row of the input is packed once. Task i writes to the i-th of `partial`.
    """
    begin()
    deep, wide, taps = channels_in // 32, channels_out // 32, size * size
    held = (rows - 1) * stride + size  # rows of the input under `rows` rows of the output
    buffer = np.empty((deep * held * side + wide * rows * out) * BLOCK + 64, np.uint8)
    right = np.int64(buffer.ctypes.data)
    right += -right % 64
    left = right + deep * held * side * BLOCK
    image_in, image_out = side * side * channels_in * 2, out * out * channels_out * 2
    source, gradient = x + task * 32 * image_in, dy + task * 32 * image_out
    row = taps * channels_in * 4
    total = partial + task * channels_out * row
    packed = 0  # rows of the input so far
    for first in range(0, out, rows):
        end = min(first + rows, out)
        for line in range(first, end):
            for column in range(out):
                place = gradient + (line * out + column) * channels_out * 2
                for block in range(wide):
                    target = left + ((block * rows + line - first) * out + column) * BLOCK
                    _transpose_images(place + block * 64, image_out, target)
        last = min(side, (end - 1) * stride + size - size // 2)
        for line in range(packed, last):
            for column in range(side):
                place = source + (line * side + column) * channels_in * 2
                for block in range(deep):
                    target = right + ((block * held + line % held) * side + column) * BLOCK
                    _pack_images(place + block * 64, image_in, target)
        packed = max(packed, last)
        for block in range(wide * deep):
            corner = total + block // deep * 32 * row + block % deep * 128
            for tap in range(taps):
                down, across = tap // size - size // 2, tap % size - size // 2
                low = max(0, (-across + stride - 1) // stride)
                high = min(out, (side - 1 - across) // stride + 1)
                c = corner + tap * channels_in * 4
                load_sums(c, row, True, True, first > 0)
                for line in range(first, end):
                    above = line * stride + down
                    if above < 0 or above >= side:
                        continue
                    a = left + ((block // deep * rows + line - first) * out + low) * BLOCK
                    b = right + ((block % deep * held + above % held) * side + low * stride + across) * BLOCK
                    accumulate(a, 64, BLOCK, b, 128, BLOCK * stride, high - low, True, True)
                store_sums(c, row, True, True)
    buffer[0] = 0  # an address alone keeps no memory: without this use it would be freed above
