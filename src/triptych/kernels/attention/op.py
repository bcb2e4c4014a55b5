"""Multi-head self-attention of short sequences on a CPU (Vaswani et al. 2017, section 3.2.2)."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.attention import kernel as kernels
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.registry import supports
from triptych.models import transformer

LONGEST = 320  # tokens: the scores of longer sequences leave a core's second-level cache


class Attention(transformer.Attention):
    """The attention of `triptych.models.transformer`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        out: Tensor = self.projection(attention(self.qkv(x), self.heads))
        return out


def attention(qkv: Tensor, heads: int) -> Tensor:
    """softmax(Q K^T / sqrt(width)) V for each head (Vaswani et al. 2017, equation 1): (N, tokens, dim).

    In bfloat16 by a kernel; in float32 by two plain products, which are faster on a CPU than PyTorch's fused
    form. `qkv` is (N, tokens, 3 * dim), queries before keys before values, each by head.
    """
    n, tokens, triple = qkv.shape
    width = triple // 3 // heads
    if _supported(qkv, tokens, width):
        result: Tensor = _Attention.apply(qkv, heads)
        return result
    q, k, v = qkv.view(n, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
    out = (q @ k.transpose(-2, -1) * width**-0.5).softmax(dim=-1).to(v.dtype) @ v
    return out.transpose(1, 2).reshape(n, tokens, heads * width)


def _supported(qkv: Tensor, tokens: int, width: int) -> bool:
    return (
        not torch.compiler.is_compiling()  # a graph cannot hold the kernels
        and qkv.dtype == torch.bfloat16
        and tokens <= LONGEST
        and width % 16 == 0
        and supports("bfloat16")
    )


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, heads: int) -> Tensor:
        qkv = qkv.contiguous()
        n, tokens, triple = qkv.shape
        dim = triple // 3
        out = torch.empty(n, tokens, dim, dtype=torch.bfloat16)
        logarithms = torch.empty(n, heads, tokens)
        shape = tokens, heads, dim // heads, np.float32((dim // heads) ** -0.5)
        parallel(kernels.attend, n, qkv.data_ptr(), *shape, out.data_ptr(), logarithms.numpy())
        ctx.save_for_backward(qkv, logarithms)
        ctx.shape = shape
        return out

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, None]:
        qkv, logarithms = ctx.saved_tensors
        dy = dy.to(torch.bfloat16).contiguous()
        gradient = torch.empty_like(qkv)
        maps = qkv.data_ptr(), dy.data_ptr(), *ctx.shape, logarithms.numpy(), gradient.data_ptr()
        parallel(kernels.attend_backward, len(qkv), *maps)
        return gradient, None
