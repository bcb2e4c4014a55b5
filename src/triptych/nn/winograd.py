"""3 x 3 convolutions in bfloat16 by Winograd's minimal filtering, for CPUs with AVX512-BF16 but no tiles.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016. 16 products where a window has 36;
transforms and bfloat16's rounding of what they give cost some of that, and a digit: results are about
twice as far from float32's as a convolution's own in bfloat16.
Maps are bfloat16 and channels_last, filters and their gradients float32.
"""

from typing import Any

import torch
from torch import Tensor

from triptych.kernels.squares import SQUARE
from triptych.kernels.threads import parallel
from triptych.nn.kernels import winograd as kernels

FILTERS = torch.float32  # how they are taken: transformed, then rounded
TASKS = 32  # slices of a map: what a thread works on at a time
SPAN = 128  # channels of the output whose share of the filters' gradient stays in a core's cache
GRADIENT_TASKS = 16


def suits(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and filter gradient are faster here."""
    whole = channels_in % SQUARE == channels_out % SQUARE == 0
    fits = size == 3 and stride == 1 and side % 2 == 0 and side > 2 and whole
    return fits, fits, fits


def output(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with filters (O, I, 3, 3), padded by one position."""
    return _convolve(x, filters, kernels.pack_filters, filters.shape[0])


def input_gradient(dy: Tensor, filters: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, H, H) of the input from that of the output, dy (N, O, H, H)."""
    return _convolve(dy, filters, kernels.pack_turned_filters, filters.shape[1])


def _convolve(source: Tensor, filters: Tensor, pack: Any, channels: int) -> Tensor:
    n, depth, side, _ = source.shape
    filters = filters.contiguous(memory_format=torch.channels_last)
    packed = torch.empty(16 * filters.shape[0] * filters.shape[1], dtype=torch.bfloat16)
    parallel(pack, channels // 16, filters.data_ptr(), *filters.shape[:2], packed.data_ptr())
    target = torch.empty(n, channels, side, side, dtype=torch.bfloat16, memory_format=torch.channels_last)
    addresses = source.data_ptr(), side, depth, packed.data_ptr(), target.data_ptr(), channels
    parallel(kernels.convolve, TASKS, TASKS, *addresses, n * (side // 2) ** 2)
    return target


def filter_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, 3, 3), float32, from x (N, I, H, H) and dy (N, O, H, H)."""
    n, depth, side, _ = x.shape
    channels = dy.shape[1]
    span = SPAN if channels % SPAN == 0 else SQUARE
    blocks = 4 * (channels // span)
    parts = -(-GRADIENT_TASKS // blocks)
    partial = torch.zeros(parts, 16, channels // SQUARE, depth // SQUARE, SQUARE, SQUARE)
    shapes = x.data_ptr(), side, depth, dy.data_ptr(), channels, span, n * (side // 2) ** 2, parts
    parallel(kernels.correlate, blocks * parts, *shapes, partial.data_ptr())
    gradient = torch.empty(channels, depth, 3, 3, memory_format=torch.channels_last)
    parallel(kernels.finish_gradient, channels // 16, partial.numpy(), depth, gradient.data_ptr())
    return gradient
