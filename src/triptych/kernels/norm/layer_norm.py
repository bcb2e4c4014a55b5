"""A residual addition and the layer norm behind it as one operation.

In PyTorch they are four passes over memory under autocast (add, norm, and two changes of type) and twice
as many back, on a CPU a quarter of a transformer's step. There, for bfloat16 activations, a kernel of ours
does each way in one; otherwise these are torch's own operations.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.kernels.compiler.threads import parallel
from triptych.kernels.norm import compiled_layer_norm as kernels
from triptych.workflow.devices import has_fast_bfloat16

TASKS = 32  # slices of the rows: what a thread works on at a time


def add_layer_norm(
    norm: nn.LayerNorm, stream: Tensor, addend: Tensor | None = None, shares: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Add to the stream that runs through all blocks, and normalise the sum.

    Args:
        norm: over the last dimension.
        stream: (N, tokens, dim).
        addend: likewise; None for nothing to add.
        shares: (N,) float32, factors of the samples' addends; None for 1.

    Returns:
        stream + shares * addend, as `stream`; its norm, (N, tokens, dim).
    """
    if _fits(norm, stream, addend):
        total, y = _AddLayerNorm.apply(stream, addend, shares, norm.weight, norm.bias, norm.eps)
        return stream if addend is None else total, y
    if addend is not None:
        stream = stream + (addend if shares is None else shares.view(-1, 1, 1) * addend)
    return stream, norm(stream)


def _fits(norm: nn.LayerNorm, stream: Tensor, addend: Tensor | None) -> bool:
    return (
        not torch.compiler.is_compiling()  # a graph cannot hold our kernels
        and norm.elementwise_affine
        and norm.bias is not None
        and stream.device.type == "cpu"
        and stream.dtype == torch.float32
        and stream.dim() == 3
        and (addend is None or addend.dtype == torch.bfloat16)
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and has_fast_bfloat16(stream.device)
    )


def _rows(x: Tensor) -> NDArray[Any]:
    """(N, tokens, dim) as (N * tokens, dim), sharing memory; bfloat16 as uint16."""
    x = x.detach().flatten(0, 1)
    return x.view(torch.int16).numpy().view(np.uint16) if x.dtype == torch.bfloat16 else x.numpy()


NOTHING = np.empty((0, 1), np.float32)
NO_BITS = np.empty((0, 1), np.uint16)


class _AddLayerNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        stream: Tensor,
        addend: Tensor | None,
        shares: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor]:
        stream = stream.contiguous()
        n, tokens, _ = stream.shape
        total = stream if addend is None else torch.empty_like(stream)
        y = torch.empty_like(stream, dtype=torch.bfloat16)
        factors = torch.ones(n) if shares is None else shares
        means, inverses = torch.empty(n * tokens), torch.empty(n * tokens)
        parallel(
            kernels.add_and_normalise,
            TASKS,
            -(-n * tokens // TASKS),
            _rows(stream),
            NO_BITS if addend is None else _rows(addend.contiguous()),
            factors.numpy(),
            tokens,
            weight.detach().numpy(),
            bias.detach().numpy(),
            np.float32(eps),
            _rows(total),
            _rows(y),
            means.numpy(),
            inverses.numpy(),
        )
        ctx.save_for_backward(total, means, inverses, weight, factors)
        ctx.adds = addend is not None
        ctx.set_materialize_grads(False)
        if addend is None:
            ctx.mark_non_differentiable(total := total.new_empty(0))
        return total, y

    @staticmethod
    def backward(ctx: Any, above: Tensor | None, dy: Tensor | None) -> tuple[Tensor | None, ...]:
        total, means, inverses, weight, factors = ctx.saved_tensors
        if dy is None:
            dy = torch.zeros_like(total, dtype=torch.bfloat16)
        dy = dy.to(torch.bfloat16).contiguous()
        n, tokens, dim = total.shape
        d_stream = torch.empty_like(total)
        d_addend = torch.empty_like(dy) if ctx.adds else None
        d_weight, d_bias = (np.empty((TASKS, dim), np.float32) for _ in range(2))
        parallel(
            kernels.normalise_back,
            TASKS,
            -(-n * tokens // TASKS),
            _rows(total),
            means.numpy(),
            inverses.numpy(),
            weight.detach().numpy(),
            _rows(dy),
            _rows(above.contiguous()) if ctx.adds and above is not None else NOTHING,
            factors.numpy(),
            tokens,
            _rows(d_stream),
            NO_BITS if d_addend is None else _rows(d_addend),
            d_weight,
            d_bias,
        )
        sums = (torch.from_numpy(values.sum(0)) for values in (d_weight, d_bias))
        return d_stream, d_addend, None, *sums, None
