"""3 x 3 convolutions in bfloat16 by Winograd's minimal filtering, for CPUs with AVX512-BF16 but no tiles.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, 2016. Four values of the output take 16
products instead of 36, with a stride of 2 they take 25; transforms cost some of that, and rounding what they
give to bfloat16 costs a digit: results are about twice as far from float32's as a plain convolution's.
Maps are bfloat16 and channels_last, filters and their gradients float32.
"""

from typing import Any

import torch
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.conv import compiled_winograd_bf16 as kernels
from triptych.kernels.gemm.avx512_bf16 import SQUARE

WEIGHTS = torch.float32  # how they are taken: transformed, then rounded
TASKS = 32  # slices of the tiles: what a thread works on at a time
SPAN = 128  # channels of the output whose share of the filters' gradient stays in a core's cache
GRADIENT_TASKS = 16  # at least; the same for any number of threads, since sums depend on it
# As kernels take their shapes: tuples, whose lengths count.
PLAIN, STRIDED, BACK, TWO = (0,) * 4, (0,) * 5, (0,) * 3, (0,) * 2


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and filter gradient are faster here."""
    if size != 3 or stride > 2 or n * (side // (2 * stride)) ** 2 < kernels.TILES:
        return False, False, False
    fits = side % (2 * stride) == 0 and side > 2 * stride
    fits = fits and channels_in % SQUARE == channels_out % SQUARE == 0
    return fits, fits, fits


def output(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with filters (O, I, 3, 3), padded by one position."""
    line = STRIDED if stride == 2 else PLAIN
    shape = x.shape[2] // (2 * stride), 2 * stride
    return _convolve(x, filters, kernels.pack_filters, filters.shape[0], shape, line, line, TWO)


def input_gradient(dy: Tensor, filters: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, h, h)."""
    ways = (BACK, STRIDED, PLAIN) if stride == 2 else (PLAIN, PLAIN, TWO)
    shape = dy.shape[2] // 2, 2
    return _convolve(dy, filters, kernels.pack_turned_filters, filters.shape[1], shape, *ways)


def _convolve(
    source: Tensor,
    filters: Tensor,
    pack: Any,
    channels: int,
    shape: tuple[int, int],
    window: tuple[int, ...],
    line: tuple[int, ...],
    tile: tuple[int, ...],
) -> Tensor:
    """One of the kernels' convolutions, by filters packed for it.

    Args:
        source: (N, channels, side, side).
        filters: (out, in, 3, 3) float32.
        pack: the kernel that packs them.
        channels: of the result.
        shape: how many tiles lie along a side, and how many positions of the source belong to each.
        window, line, tile: as long as a window of the source, a line of places, a side of the result's tiles.
    """
    (n, depth), (half, size) = source.shape[:2], shape
    filters = filters.contiguous(memory_format=torch.channels_last)
    packed = torch.empty(len(line) ** 2 * filters.shape[0] * filters.shape[1], dtype=torch.bfloat16)
    parallel(pack, channels // 16, filters.data_ptr(), *filters.shape[:2], packed.data_ptr(), line)
    side = half * len(tile)
    target = torch.empty(n, channels, side, side, dtype=torch.bfloat16, memory_format=torch.channels_last)
    addresses = source.data_ptr(), size, depth, packed.data_ptr(), target.data_ptr(), channels
    parallel(kernels.convolve, TASKS, TASKS, *addresses, half, n * half**2, window, line, tile)
    return target


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, 3, 3), float32, from x (N, I, H, H) and dy (N, O, h, h)."""
    (n, depth), channels, half = x.shape[:2], dy.shape[1], dy.shape[2] // 2
    line = STRIDED if stride == 2 else PLAIN
    span = SPAN if channels % SPAN == 0 else SQUARE
    blocks = len(line) * (channels // span)
    parts = -(-GRADIENT_TASKS // blocks)
    partial = torch.zeros(parts, len(line) ** 2, channels // SQUARE, depth // SQUARE, SQUARE, SQUARE)
    shapes = x.data_ptr(), 2 * stride, depth, dy.data_ptr(), channels, span, half, n * half**2, parts
    parallel(kernels.correlate, blocks * parts, *shapes, partial.data_ptr(), line)
    gradient = torch.empty(channels, depth, 3, 3, memory_format=torch.channels_last)
    addresses = partial.numpy(), depth, gradient.data_ptr()
    parallel(kernels.finish_gradient, channels // 16, *addresses, line)
    return gradient
