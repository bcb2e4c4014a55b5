"""A convolution that takes ways of ours where the library is slower.

On a CPU, under autocast to bfloat16 where it has units for that: `tiled_convolution` where it has tiles,
`winograd` where it has none but multiplies pairs. In float32: `winograd_float32`. Where those do not suit:
`small_maps`. For other devices and formats, and where no shape suits, this is `nn.Conv2d` and nothing more.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from triptych.kernels.compiler.jit import has_float_products, has_pairs, has_tiles
from triptych.kernels.conv import amx as tiled_convolution
from triptych.kernels.conv import batched_gemm as small_maps
from triptych.kernels.conv import winograd_bf16 as winograd
from triptych.kernels.conv import winograd_fp32 as winograd_float32
from triptych.workflow.devices import has_fast_bfloat16

_only_torchs = ContextVar("_only_torchs", default=False)


@contextmanager
def only_torchs() -> Iterator[None]:
    """Convolutions by torch's own operations alone, for whoever watches those."""
    token = _only_torchs.set(True)
    try:
        yield
    finally:
        _only_torchs.reset(token)


class Convolution(nn.Conv2d):
    """A square convolution without bias, padded by half its size; parameters as in `nn.Conv2d`."""

    def __init__(self, channels_in: int, channels_out: int, size: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, size, stride, padding=size // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        if not self._may_differ(x):
            return super().forward(x)
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        n, channels, side, _ = x.shape
        for way in _ways(dtype):
            ours = way.suits(n, channels, self.out_channels, side, self.kernel_size[0], self.stride[0])
            if ours[0] or (any(ours) and torch.is_grad_enabled()):
                result: Tensor = _Convolution.apply(x, self.weight, self.stride[0], dtype, way, ours)
                return result
        return super().forward(x)

    def _may_differ(self, x: Tensor) -> bool:
        return (
            not torch.compiler.is_compiling()  # a graph cannot hold our kernels
            and not _only_torchs.get()
            and x.device.type == "cpu"
            and x.dim() == 4
            and x.shape[1] == self.in_channels  # anything else is torch's to refuse
            and x.shape[2] == x.shape[3]
            and self.weight.dtype == torch.float32
            and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.is_autocast_enabled("cpu")))
        )


def _ways(dtype: torch.dtype) -> tuple[ModuleType, ...]:
    if dtype == torch.float32:
        return (winograd_float32, small_maps) if has_float_products() else ()
    if dtype != torch.bfloat16 or not has_fast_bfloat16(torch.device("cpu")):
        return ()
    if has_tiles():
        return tiled_convolution, small_maps
    return (winograd, small_maps) if has_pairs() else (small_maps,)


class _Convolution(torch.autograd.Function):
    """`ours` says which of output, input gradient and filter gradient are the way's, not the library's."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: int,
        dtype: torch.dtype,
        way: ModuleType,
        ours: tuple[bool, bool, bool],
    ) -> Tensor:
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        filters = weight.to(way.FILTERS or dtype).contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, filters)
        ctx.stride, ctx.way, ctx.ours = stride, way, ours
        if ours[0]:
            y: Tensor = way.output(x, filters, stride)
            return y
        return torch.conv2d(x, filters, None, stride, weight.shape[2] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, filters = ctx.saved_tensors
        stride, way, ours, size = ctx.stride, ctx.way, ctx.ours, filters.shape[2]
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = dw = None
        if ctx.needs_input_grad[0] and ours[1]:
            dx = way.input_gradient(dy, filters, x.shape[2], stride)
        if ctx.needs_input_grad[1] and ours[2]:
            dw = way.filter_gradient(x, dy, size, stride)
        left = [need and mine is None for need, mine in zip(ctx.needs_input_grad, (dx, dw), strict=False)]
        if any(left):
            around = [size // 2] * 2
            theirs = torch.ops.aten.convolution_backward(
                dy, x, filters, None, [stride] * 2, around, [1, 1], False, [0, 0], 1, [*left, False]
            )
            dx, dw = (theirs[0] if dx is None else dx), (theirs[1] if dw is None else dw)
        return dx, None if dw is None else dw.float(), None, None, None, None
