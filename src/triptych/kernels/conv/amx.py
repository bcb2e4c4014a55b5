"""Convolutions on a CPU's bfloat16 tiles: small maps, and all filters' gradients.

There torch's convolution reaches a tenth of the hardware's speed on maps of 4 x 4 and 2 x 2 positions,
less for the filters' gradient, and half of what ours reach for the filters' gradient of large maps.
Maps and filters are bfloat16 and channels_last; batch and channels come in multiples of 32.
"""

from typing import Any

import torch
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.conv import compiled_amx as kernels
from triptych.kernels.conv import compiled_amx_weight_gradient as correlation

WEIGHTS = torch.bfloat16  # how they are taken
SMALL = 6  # positions a side: largest output map whose values and input gradients we compute
NARROW = 2**15  # product of channels: filters whose gradient stays in a core's cache
ROWS = 4  # of the output, worked on at a time


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and filter gradient come from here, `side` being the input map's."""
    out = (side - 1) // stride + 1
    fits = n % kernels.BLOCK == channels_in % kernels.BLOCK == channels_out % kernels.BLOCK == 0
    return fits and out <= SMALL, fits and out <= SMALL, fits


def _empty(n: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(n, channels, side, side, dtype=dtype, memory_format=torch.channels_last)


def output(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with filters (O, I, size, size), padded by half their size."""
    y = _empty(len(x), len(filters), (x.shape[2] - 1) // stride + 1, torch.bfloat16)
    pairs = kernels.connections(x.shape[2], filters.shape[2], stride)[0]
    return _gather(x, filters, kernels.pack_filters, y, pairs)


def input_gradient(dy: Tensor, filters: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, h, h)."""
    dx = _empty(len(dy), filters.shape[1], side, torch.bfloat16)
    pairs = kernels.connections(side, filters.shape[2], stride)[1]
    return _gather(dy, filters, kernels.pack_turned_filters, dx, pairs)


def _gather(source: Tensor, filters: Tensor, pack: Any, target: Tensor, pairs: kernels.Pairs) -> Tensor:
    channels_out, channels_in, size, _ = filters.shape
    packed = torch.empty_like(filters)
    place = packed.data_ptr()
    tasks = target.shape[1] // kernels.BLOCK
    parallel(pack, tasks, filters.data_ptr(), size * size, channels_out, channels_in, place)
    parallel(
        kernels.convolve,
        len(source) // kernels.BLOCK,
        source.data_ptr(),
        source.shape[2] ** 2,
        source.shape[1],
        place,
        size * size,
        target.data_ptr(),
        target.shape[2] ** 2,
        target.shape[1],
        *pairs,
    )
    return target


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, size, size), float32, from x (N, I, H, H) and dy (N, O, h, h)."""
    if dy.shape[2] > SMALL and x.shape[1] * dy.shape[1] <= NARROW:
        return _by_rows(x, dy, size, stride)
    return _by_positions(x, dy, size, stride)


def _by_positions(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    n, channels_in, side, _ = x.shape
    channels, places = dy.shape[1], dy.shape[2] ** 2
    paired, turned = torch.empty_like(x), torch.empty_like(dy)
    parallel(correlation.pack_pairs, side**2, x.data_ptr(), n, side**2, channels_in, paired.data_ptr())
    parallel(correlation.pack_turned, places, dy.data_ptr(), n, places, channels, turned.data_ptr())
    dw = _empty(channels, channels_in, size, torch.float32)
    parallel(
        correlation.correlate,
        channels // kernels.BLOCK * (channels_in // kernels.BLOCK),
        turned.data_ptr(),
        places,
        paired.data_ptr(),
        side**2,
        channels_in,
        n,
        size * size,
        dw.data_ptr(),
        *kernels.connections(side, size, stride)[2],
    )
    return dw


def _by_rows(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    n, channels_in, side, _ = x.shape
    channels, out = dy.shape[1], dy.shape[2]
    blocks = n // kernels.BLOCK
    partial = torch.empty(blocks, channels, size, size, channels_in)
    shape = size, stride, min(ROWS, out)
    addresses = x.data_ptr(), side, channels_in, dy.data_ptr(), out, channels
    parallel(correlation.correlate_rows, blocks, *addresses, *shape, partial.data_ptr())
    return partial.sum(dim=0).permute(0, 3, 1, 2)
