"""A linear layer's three products with AMX: PyTorch's own, but for the gradients of weights and bias.

PyTorch reaches half the hardware's speed there, and reads `dy` once more for the bias.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.linear import compiled_amx as kernels


def supported(rows: int, channels_in: int, channels_out: int) -> bool:
    """Whether the shapes are supported."""
    return rows % kernels.BLOCK == channels_in % kernels.BLOCK == channels_out % kernels.BLOCK == 0


def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The output x @ weight.T + bias: (..., in) -> (..., out)."""
    return F.linear(x, weight, bias.to(torch.bfloat16))


def input_gradient(dy: Tensor, weight: Tensor) -> Tensor:
    """The gradient dy @ weight: (..., out) -> (..., in)."""
    return dy @ weight


def weight_gradient(x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients dy.T @ x and the sum of dy, float32; x (rows, in) and dy (rows, out) are bfloat16."""
    channels_out, channels_in = dy.shape[1], x.shape[1]
    d_weight, d_bias = torch.empty(channels_out, channels_in), torch.empty(channels_out)
    # one rectangle a thread; the cuts change no bit
    threads = torch.get_num_threads()
    across = math.isqrt(threads)
    deep, wide = _blocks(channels_in, across), _blocks(channels_out, -(-threads // across))
    tasks = -(-channels_in // deep) * -(-channels_out // wide)
    arrays = (a.detach().contiguous().view(torch.int16).numpy().view(np.uint16) for a in (x, dy))
    parallel(kernels.weight_gradient, tasks, *arrays, wide, deep, d_weight.numpy(), d_bias.numpy())
    return d_weight, d_bias


def _blocks(channels: int, parts: int) -> int:
    """Channels of one of at most so many parts, in whole blocks."""
    return -(-channels // (parts * kernels.BLOCK)) * kernels.BLOCK
