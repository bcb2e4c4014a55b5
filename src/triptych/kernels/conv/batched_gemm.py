"""Convolution of small maps as plain products over the batch, for CPUs without tiles.

Libraries slide windows over one image at a time, and a map of 2 x 2 is mostly border. Here the positions
that a filter connects are gathered from all images of a batch, so border taps do not occur (on a 2 x 2
map a 3 x 3 filter connects 16 pairs of positions where a window has 36 places), and each position, or
each tap of the filters' gradient, is one product that the library does well.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

WEIGHTS = None  # how they are taken: as the maps
# By output positions a side and the product of channels, measured in bfloat16 (AVX512-BF16) and in float32
# (AVX2) with batches of 64 to 512: gradients of filters gain most and on more maps than the rest.
LEAST = 2**14
SMALLEST, SMALL = 2, 4
MANY = 64  # images, below which maps of 4 x 4 are faster elsewhere


def supported(
    n: int, channels_in: int, channels_out: int, side: int, size: int, stride: int
) -> tuple[bool, bool, bool]:
    """Whether output, input gradient and filter gradient are faster here, `side` being the input map's."""
    out = (side - 1) // stride + 1
    channels = channels_in * channels_out
    if channels < LEAST or out > (SMALL if n >= MANY else SMALLEST):
        return False, False, False
    rest = out <= SMALLEST
    return rest, rest, True


class Connections(NamedTuple):
    """Lists behind one another: entries starts[i] to starts[i + 1] of `first` and `second` are list i."""

    starts: np.ndarray
    first: np.ndarray
    second: np.ndarray


def _grouped(count: int, entries: list[tuple[int, int, int]]) -> Connections:
    """Group (list, first, second) by list, keeping their order."""
    table = np.array(entries, np.int64)
    table = table[np.argsort(table[:, 0], kind="stable")]
    starts = np.cumsum([0, *np.bincount(table[:, 0], minlength=count)], dtype=np.int64)
    return Connections(starts, table[:, 1].copy(), table[:, 2].copy())


@cache
def connections(side: int, size: int, stride: int) -> tuple[Connections, Connections, Connections]:
    """The pairs of an input and an output position that a tap of a square kernel connects.

    Positions are numbered row by row; the input map, of `side`, is padded by half of the kernel's odd `size`.
    Returns for each output position (input position, tap); for each input position (output position, tap);
    for each tap (input position, output position).
    """
    out = (side - 1) // stride + 1
    triples = []
    for y in range(out):
        for x in range(out):
            for row in range(size):
                for column in range(size):
                    v, u = y * stride + row - size // 2, x * stride + column - size // 2
                    if 0 <= v < side and 0 <= u < side:
                        triples.append((v * side + u, y * out + x, row * size + column))
    return (
        _grouped(out * out, [(o, i, t) for i, o, t in triples]),
        _grouped(side * side, [(i, o, t) for i, o, t in triples]),
        _grouped(size * size, [(t, i, o) for i, o, t in triples]),
    )


@cache
def _lists(side: int, size: int, stride: int, kind: int) -> list[tuple[Tensor, Tensor]]:
    pairs = connections(side, size, stride)[kind]
    lengths = (pairs.starts[1:] - pairs.starts[:-1]).tolist()
    first, second = (torch.from_numpy(places).split(lengths) for places in (pairs.first, pairs.second))
    return list(zip(first, second, strict=True))


def _positions(maps: Tensor) -> Tensor:
    """(N, C, h, h) -> (N, h * h, C)."""
    return maps.permute(0, 2, 3, 1).flatten(1, 2)


def _gather(
    source: Tensor, lists: list[tuple[Tensor, Tensor]], matrix: Callable[[Tensor], Tensor], channels: int
) -> Tensor:
    """Maps (N, channels, h, h) whose position p is source (N, positions, C), at p's places, by a matrix
    (places * C, channels) for p's taps; `lists` has (places, taps) of each p.
    """
    side = round(len(lists) ** 0.5)
    # Not a view of the positions: what a Function returns as a view cannot be changed in place.
    maps = torch.empty(
        len(source), channels, side, side, dtype=source.dtype, memory_format=torch.channels_last
    )
    target = _positions(maps)
    for position, (places, taps) in enumerate(lists):
        target[:, position] = source.index_select(1, places).flatten(1) @ matrix(taps)
    return maps


def output(x: Tensor, filters: Tensor, stride: int) -> Tensor:
    """The convolution of x (N, I, H, H) with filters (O, I, size, size), padded by half their size."""
    rows = _positions(filters)  # (O, taps, I)
    lists = _lists(x.shape[2], filters.shape[2], stride, 0)
    return _gather(_positions(x), lists, lambda taps: rows.index_select(1, taps).flatten(1).mT, len(filters))


def input_gradient(dy: Tensor, filters: Tensor, side: int, stride: int) -> Tensor:
    """The gradient (N, I, side, side) of the input from that of the output, dy (N, O, h, h)."""
    blocks = _positions(filters).movedim(1, 0).contiguous()  # (taps, O, I): no transposition of numbers
    lists = _lists(side, filters.shape[2], stride, 1)
    return _gather(
        _positions(dy), lists, lambda taps: blocks.index_select(0, taps).flatten(0, 1), filters.shape[1]
    )


def weight_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, size, size) from x (N, I, H, H) and dy (N, O, h, h)."""
    inputs, outputs = _positions(x), _positions(dy)
    taps = [
        outputs.index_select(1, target).flatten(0, 1).mT @ inputs.index_select(1, source).flatten(0, 1)
        for source, target in _lists(x.shape[2], size, stride, 2)
    ]
    return torch.stack(taps, dim=1).unflatten(1, (size, size)).permute(0, 3, 1, 2)
