"""A convolution that takes kernels of ours where the library is slow: small maps, filters' gradients.

On a CPU with bfloat16 tiles, and under autocast to bfloat16, torch's convolution reaches a tenth of
the hardware's speed on maps of 4 x 4 and 2 x 2 positions, less for the filters' gradient there, and
half of what ours reach for the filters' gradient of large maps. Everywhere else, and wherever the
shapes do not fit, this is `nn.Conv2d` and nothing more.
"""

from typing import Any

import torch
from torch import Tensor, nn

from triptych.kernels.jit import has_tiles
from triptych.kernels.threads import parallel
from triptych.nn.kernels import convolution as kernels
from triptych.nn.kernels import correlation

SMALL = 6  # positions a side: largest output map whose values and input gradients we compute
NARROW = 2**15  # product of channels: filters whose gradient stays in a core's cache
ROWS = 4  # of the output, worked on at a time


class Convolution(nn.Conv2d):
    """A square convolution without bias, padded by half its size; parameters as in `nn.Conv2d`."""

    def __init__(self, channels_in: int, channels_out: int, size: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, size, stride, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        if not self._fits(x):
            return super().forward(x)
        result: Tensor = _TiledConvolution.apply(x, self.weight, self.stride[0])
        return result

    def _fits(self, x: Tensor) -> bool:
        n, channels, height, width = x.shape
        return (
            not torch.compiler.is_compiling()  # a graph cannot hold our kernels
            and x.device.type == "cpu"
            and height == width
            and n % kernels.BLOCK == channels % kernels.BLOCK == self.out_channels % kernels.BLOCK == 0
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
            and torch.is_grad_enabled()
            and has_tiles()
        )


class _TiledConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        x = x.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        filters = weight.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, filters)
        ctx.stride = stride
        side = (x.shape[2] - 1) // stride + 1
        if side > SMALL:
            return torch.conv2d(x, filters, None, stride, weight.shape[2] // 2)
        y = _empty(len(x), len(filters), side, torch.bfloat16)
        return output(x, filters, y, stride)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, filters = ctx.saved_tensors
        stride: int = ctx.stride
        dy = dy.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
        dx = dw = None
        if ctx.needs_input_grad[0]:
            if dy.shape[2] > SMALL:
                around = [filters.shape[2] // 2] * 2
                dx = torch.ops.aten.convolution_backward(
                    dy, x, filters, None, [stride] * 2, around, [1, 1], False, [0, 0], 1, [True, False, False]
                )[0]
            else:
                dx = input_gradient(dy, filters, torch.empty_like(x), stride)
        if ctx.needs_input_grad[1]:
            dw = filter_gradient(x, dy, filters.shape[2], stride)
        return dx, dw, None


def _empty(n: int, channels: int, side: int, dtype: torch.dtype) -> Tensor:
    return torch.empty(n, channels, side, side, dtype=dtype, memory_format=torch.channels_last)


def output(x: Tensor, filters: Tensor, y: Tensor, stride: int) -> Tensor:
    """Fill y (N, O, h, h) with the convolution of x (N, I, H, H); all bfloat16 and channels_last."""
    pairs = kernels.connections(x.shape[2], filters.shape[2], stride)[0]
    return _gather(x, filters, kernels.pack_filters, y, pairs)


def input_gradient(dy: Tensor, filters: Tensor, dx: Tensor, stride: int) -> Tensor:
    """Fill dx (N, I, H, H) from dy (N, O, h, h), the gradient of the output; likewise."""
    pairs = kernels.connections(dx.shape[2], filters.shape[2], stride)[1]
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


def filter_gradient(x: Tensor, dy: Tensor, size: int, stride: int) -> Tensor:
    """The filters' gradient (O, I, size, size) float32, channels_last, from x and dy as above."""
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
