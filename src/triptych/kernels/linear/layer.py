"""`nn.Linear` in training under autocast to bfloat16, by AMX or AVX512-BF16."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from triptych.kernels.linear import kernel
from triptych.kernels.registry import supports


class Linear(nn.Linear):
    """`nn.Linear`, by `linear.kernel` where its shapes are supported and gradients are needed."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self._supported(x):
            return super().forward(x)
        y: Tensor = _Linear.apply(x, self.weight, self.bias)
        return y

    def _supported(self, x: Tensor) -> bool:
        if (
            torch.compiler.is_compiling()  # a graph cannot hold the kernels
            or x.device.type != "cpu"
            or x.numel() == 0
            or x.shape[-1] != self.in_features  # PyTorch raises the error
            or self.bias is None
            or not torch.is_autocast_enabled("cpu")
            or torch.get_autocast_dtype("cpu") != torch.bfloat16
            or not torch.is_grad_enabled()
            or not supports("bfloat16")
        ):
            return False
        return kernel.supported(self.in_features, self.out_features)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, weight = x.to(torch.bfloat16).contiguous(), weight.to(torch.bfloat16).contiguous()
        ctx.save_for_backward(x, weight)
        y: Tensor = kernel.output(x, weight, bias.detach().float().contiguous())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        dy, dx = dy.to(torch.bfloat16).contiguous(), None
        if ctx.needs_input_grad[0]:
            dx = kernel.input_gradient(dy, weight)
        d_weight, d_bias = kernel.weight_gradient(x.view(-1, x.shape[-1]), dy.view(-1, dy.shape[-1]))
        return dx, d_weight, d_bias
