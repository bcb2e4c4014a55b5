"""A linear layer that takes kernels of ours where the library is slower.

Under autocast to bfloat16 on a CPU with bfloat16 units. With tiles, torch reaches half the hardware's speed
for the gradient of the weights, and takes another pass for the bias's. Without them it takes another pass
for the bias, too, and `pair_linear` is a little faster in everything. Everywhere else, wherever the shapes
do not fit, and where no gradients are asked for, this is `nn.Linear` and nothing more.
"""

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from triptych.kernels.compiler.jit import has_tiles
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.linear import avx512_bf16 as pair_linear
from triptych.kernels.linear import compiled_amx as kernels


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
            and x.shape[-1] == self.in_features  # anything else is torch's to refuse
            and self.bias is not None
            and torch.is_autocast_enabled("cpu")
            and torch.get_autocast_dtype("cpu") == torch.bfloat16
            and torch.is_grad_enabled()
            and (
                _suit_tiles(rows, self.in_features, self.out_features)
                if has_tiles()
                else pair_linear.suits(self.in_features, self.out_features)
            )
        )


def _suit_tiles(*sizes: int) -> bool:
    return all(size % kernels.BLOCK == 0 for size in sizes)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, narrow = x.to(torch.bfloat16).contiguous(), weight.to(torch.bfloat16).contiguous()
        ctx.save_for_backward(x, narrow)
        if not has_tiles():
            return pair_linear.output(x, narrow, bias.detach().float().contiguous())
        return F.linear(x, narrow, bias.to(torch.bfloat16))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        dy, dx = dy.to(torch.bfloat16).contiguous(), None
        tiles = has_tiles()
        if ctx.needs_input_grad[0]:
            dx = dy @ weight if tiles else pair_linear.input_gradient(dy, weight)
        way = weight_gradient if tiles else pair_linear.weight_gradient
        return dx, *way(x.view(-1, x.shape[-1]), dy.view(-1, dy.shape[-1]))


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
