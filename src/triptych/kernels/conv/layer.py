"""`nn.Conv2d` by whichever backend is fastest for its shapes and for each of its gradients.

A backend is a module with `supported`, `output`, `input_gradient`, `weight_gradient` and the number format
that it takes weights in. `backends` lists them in order of preference; each says which shapes it supports.
"""

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from triptych.kernels.conv import amx, batched_gemm, winograd_bf16, winograd_fp32
from triptych.kernels.registry import supports


def backends(dtype: torch.dtype) -> tuple[ModuleType, ...]:
    """The backends of this CPU for a number format; the first that supports a shape is used."""
    if dtype == torch.float32 and supports("avx2"):
        return winograd_fp32, batched_gemm
    if dtype == torch.bfloat16 and supports("amx_bf16"):
        return amx, batched_gemm
    if dtype == torch.bfloat16 and supports("avx512_bf16"):
        return winograd_bf16, batched_gemm
    return ()


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`, by a backend if it is square, without bias, and padded by half the kernel's size."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, in, H, W) -> (N, out, H / stride, W / stride)."""
        if self._supported(x):
            dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
            stride, channels = self.stride[0], (self.in_channels, self.out_channels)
            shape = len(x), *channels, x.shape[2], self.kernel_size[0], stride
            for backend in backends(dtype):
                output, *gradients = backend.supported(*shape)
                if output or (any(gradients) and torch.is_grad_enabled()):
                    by = dtype, backend, output, gradients
                    y: Tensor = _Convolution.apply(x, self.weight, stride, *by)
                    return y
        return super().forward(x)

    def _supported(self, x: Tensor) -> bool:
        size, stride = self.kernel_size[0], self.stride[0]
        return (
            not torch.compiler.is_compiling()  # a graph cannot hold the kernels
            and self.bias is None
            and self.kernel_size == (size, size)
            and size % 2 == 1
            and self.stride == (stride, stride)
            and self.padding == (size // 2, size // 2)
            and self.padding_mode == "zeros"
            and self.dilation == (1, 1)
            and self.groups == 1
            and self.weight.dtype == torch.float32
            and x.device.type == "cpu"
            and x.dim() == 4
            and x.shape[1] == self.in_channels  # PyTorch raises the error for anything else
            and x.shape[2] == x.shape[3]
            and (x.dtype == torch.float32 or (x.dtype == torch.bfloat16 and torch.is_autocast_enabled("cpu")))
        )


class _Convolution(torch.autograd.Function):
    """A convolution by a backend and PyTorch.

    `by_backend` says whether the backend computes the output, `gradients` whether it computes the input
    gradient and the weight gradient; PyTorch computes the rest.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        stride: int,
        dtype: torch.dtype,
        backend: ModuleType,
        by_backend: bool,
        gradients: list[bool],
    ) -> Tensor:
        x = x.to(dtype).contiguous(memory_format=torch.channels_last)
        weight = weight.to(backend.WEIGHTS or dtype).contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.backend, ctx.gradients = stride, backend, gradients
        if by_backend:
            y: Tensor = backend.output(x, weight, stride)
            return y
        return torch.conv2d(x, weight, None, stride, weight.shape[2] // 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        stride, backend, size = ctx.stride, ctx.backend, weight.shape[2]
        input_by_backend, weight_by_backend = ctx.gradients
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        dx = dw = None
        if ctx.needs_input_grad[0] and input_by_backend:
            dx = backend.input_gradient(dy, weight, x.shape[2], stride)
        if ctx.needs_input_grad[1] and weight_by_backend:
            dw = backend.weight_gradient(x, dy, size, stride)
        missing = [ctx.needs_input_grad[0] and dx is None, ctx.needs_input_grad[1] and dw is None]
        if any(missing):
            padding = [size // 2] * 2
            gradients = torch.ops.aten.convolution_backward(
                dy, x, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], 1, [*missing, False]
            )
            dx, dw = (gradients[0] if dx is None else dx), (gradients[1] if dw is None else dw)
        return dx, None if dw is None else dw.float(), None, None, None, None, None
