"""3 x 3 convolutions in float32 by Winograd's minimal filtering, for CPUs without bfloat16 units.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016. Sixteen values of the output take 36
products instead of 144; float32 has digits enough for the sums of that. Maps are channels_last.
"""

from typing import Any

import torch
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.conv import compiled_winograd_fp32 as kernels

WEIGHTS = torch.float32  # how they are taken
LEAST = 48  # tiles, below which transformed filters do not pay
TASKS = 32  # slices of the tiles: what a thread works on at a time
AT_ONCE = 24  # tiles that a core transforms at a time: a multiple of 6
CHUNK = 2**23  # numbers of both transformed maps whose products are added at a time


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and filter gradient are faster here."""
    fits = size == 3 and stride == 1 and side % 4 == 0 and n * (side // 4) ** 2 >= LEAST
    fits = fits and channels_in % kernels.SPAN == channels_out % kernels.SPAN == 0
    return fits, fits, fits


def output(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with filters (O, I, 3, 3), padded by one position."""
    return _convolve(x, filters, kernels.pack_filters, filters.shape[0])


def input_gradient(dy: Tensor, filters: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, side, side)."""
    return _convolve(dy, filters, kernels.pack_turned_filters, filters.shape[1])


def _convolve(source: Tensor, filters: Tensor, pack: Any, channels: int) -> Tensor:
    n, depth, side, _ = source.shape
    half, layout = side // 4, torch.channels_last
    filters = filters.contiguous(memory_format=layout)
    packed = torch.empty(kernels.PLACES * filters.shape[0] * filters.shape[1])
    parallel(pack, channels // 16, filters.data_ptr(), *filters.shape[:2], packed.data_ptr())
    target = torch.empty(n, channels, side, side, memory_format=layout)
    addresses = source.data_ptr(), depth, packed.data_ptr(), target.data_ptr(), channels
    parallel(kernels.convolve, TASKS, TASKS, *addresses, half, n * half**2, AT_ONCE)
    return target


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, 3, 3) from x (N, I, H, H) and dy (N, O, H, H)."""
    (n, depth, side, _), channels = x.shape, dy.shape[1]
    half = side // 4
    tiles = n * half**2
    at_once = min(tiles, max(1, CHUNK // (kernels.PLACES * (depth + channels))))
    inputs, gradients = (torch.empty(kernels.PLACES * at_once * count) for count in (depth, channels))
    sums = torch.zeros(kernels.PLACES, channels, depth)
    for first in range(0, tiles, at_once):
        count = min(at_once, tiles - first)
        of_x = x.data_ptr(), depth, half, first, count, False, inputs.data_ptr()
        of_dy = dy.data_ptr(), channels, half, first, count, True, gradients.data_ptr()
        parallel(kernels.spread, TASKS, TASKS, *of_x)
        parallel(kernels.spread, TASKS, TASKS, *of_dy)
        addresses = gradients.data_ptr(), channels, inputs.data_ptr(), depth, count, sums.data_ptr()
        parallel(kernels.correlate, kernels.PLACES * (channels // 16), *addresses)
    gradient = torch.empty(channels, depth, 3, 3, memory_format=torch.channels_last)
    parallel(kernels.finish_gradient, channels // 16, sums.data_ptr(), channels, depth, gradient.data_ptr())
    return gradient
