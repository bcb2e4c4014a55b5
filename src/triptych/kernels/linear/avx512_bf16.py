"""A linear layer's three products for CPUs that multiply pairs of bfloat16 (AVX512-BF16) but have no tiles.

Activations and weights (out, in) are contiguous and bfloat16, gradients of parameters float32.
"""

import torch
from torch import Tensor

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.gemm.avx512_bf16 import SQUARE
from triptych.kernels.linear import compiled_avx512_bf16 as kernels

TASKS = 32  # slices of the rows: what a thread works on at a time
WIDE, DEEP = 256, 512  # the largest part of the weights' gradient that stays in a core's cache


def supported(rows: int, channels_in: int, channels_out: int) -> bool:
    """Whether the shapes are supported."""
    return channels_in % SQUARE == channels_out % SQUARE == 0


def output(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The output x @ weight.T + bias: (..., in) -> (..., out); the bias is float32."""
    channels, depth = weight.shape
    packed = torch.empty_like(weight)
    parallel(kernels.pack_weights, channels // SQUARE, weight.data_ptr(), depth, packed.data_ptr())
    return _multiply(x, packed, bias, channels)


def input_gradient(dy: Tensor, weight: Tensor) -> Tensor:
    """The gradient dy @ weight: (..., out) -> (..., in)."""
    channels, depth = weight.shape
    packed = torch.empty_like(weight)
    addresses = weight.data_ptr(), channels, depth, packed.data_ptr()
    parallel(kernels.pack_turned_weights, depth // SQUARE, *addresses)
    return _multiply(dy, packed, torch.zeros(depth), depth)


def _multiply(x: Tensor, packed: Tensor, bias: Tensor, channels: int) -> Tensor:
    depth = x.shape[-1]
    rows = x.numel() // depth
    y = torch.empty(*x.shape[:-1], channels, dtype=torch.bfloat16)
    addresses = packed.data_ptr(), bias.data_ptr(), y.data_ptr()
    parallel(kernels.multiply, TASKS, TASKS, x.data_ptr(), rows, depth, *addresses, channels)
    return y


def weight_gradient(x: Tensor, dy: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients dy.T @ x and the sum of dy over rows; x is (rows, in), dy (rows, out)."""
    (rows, depth), channels = x.shape, dy.shape[1]
    d_weight, d_bias = torch.zeros(channels, depth), torch.empty(channels)
    # rectangles, at least one a thread; how they are cut changes no bit
    threads = torch.get_num_threads()
    wide = min(WIDE, _share(channels, threads))
    deep = min(DEEP, _share(depth, -(-threads // -(-channels // wide))))
    tasks = -(-channels // wide) * -(-depth // deep)
    addresses = d_weight.data_ptr(), d_bias.data_ptr()
    shapes = x.data_ptr(), rows, depth, dy.data_ptr(), channels, wide, deep
    parallel(kernels.weight_gradient, tasks, *shapes, *addresses)
    return d_weight, d_bias


def _share(channels: int, parts: int) -> int:
    """Channels of one of at most so many parts, in whole squares."""
    return -(-channels // (parts * SQUARE)) * SQUARE
