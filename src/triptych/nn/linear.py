"""A linear layer that takes a kernel of ours where the library is slow: the gradient of its weights.

On a CPU with bfloat16 tiles, and under autocast to bfloat16, torch reaches half the hardware's speed
there, and takes another pass for the bias. Everywhere else, and wherever the shapes do not fit, this
is `nn.Linear` and nothing more.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.kernels.jit import has_tiles
from triptych.kernels.threads import parallel
from triptych.nn.kernels import linear as kernels


class Linear(nn.Linear):
    """A linear layer with bias; parameters as in `nn.Linear`."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)."""
        if not self._fits(x):
            return super().forward(x)
        result: Tensor = _Linear.apply(x, self.weight, self.bias)
        return result

    def _fits(self, x: Tensor) -> bool:
        rows = x.numel() // self.in_features
        return (
            not torch.compiler.is_compiling()  # a graph cannot hold our kernels
            and x.device.type == "cpu"
            and rows > 0
            and rows % kernels.BLOCK == self.in_features % kernels.BLOCK == 0
            and self.out_features % kernels.BLOCK == 0
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
            and torch.is_grad_enabled()
            and has_tiles()
        )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, narrow = x.to(torch.bfloat16), weight.to(torch.bfloat16)
        ctx.save_for_backward(x, narrow)
        return F.linear(x, narrow, bias.to(torch.bfloat16))

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy = dy.to(torch.bfloat16)
        dx = dy @ weight if ctx.needs_input_grad[0] else None
        return dx, *weight_gradient(x.flatten(0, -2), dy.flatten(0, -2))


def weight_gradient(x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The product dy.T @ x and the sum of dy over rows, float32; x (rows, in) and dy (rows, out) bfloat16."""
    channels_out, channels_in = dy.shape[1], x.shape[1]
    d_weight, d_bias = torch.empty(channels_out, channels_in), torch.empty(channels_out)
    # one rectangle a thread; how they are cut changes no bit
    threads = torch.get_num_threads()
    across = math.isqrt(threads)
    deep, wide = _share(channels_in, across), _share(channels_out, -(-threads // across))
    tasks = -(-channels_in // deep) * -(-channels_out // wide)
    arrays = (a.detach().contiguous().view(torch.int16).numpy().view(np.uint16) for a in (x, dy))
    parallel(kernels.weight_gradient, tasks, *arrays, wide, deep, d_weight.numpy(), d_bias.numpy())
    return d_weight, d_bias


def _share(channels: int, parts: int) -> int:
    """Channels of one of at most so many parts, in whole blocks."""
    return -(-channels // (parts * kernels.BLOCK)) * kernels.BLOCK
