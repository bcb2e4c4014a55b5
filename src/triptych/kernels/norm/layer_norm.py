"""A residual addition and the layer norm behind it as one operation.

In PyTorch they are four passes over memory under autocast (add, norm, and two changes of type) and twice
as many back, on a CPU a quarter of a transformer's step. For bfloat16 activations a kernel needs one.

The kernels' rows are tokens: float32 between the blocks, bfloat16 seen as uint16 where blocks read and write.
A task is a slice of rows; sums of a task go to rows of their own, so results do not depend on the number of
threads.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.compiler.vectors import narrow, widen
from triptych.kernels.registry import supports

TASKS = 32  # slices of the rows: what a thread works on at a time
ZERO, ONE = np.float32(0), np.float32(1)


def add_layer_norm(
    norm: nn.LayerNorm, x: Tensor, branch: Tensor | None = None, scale: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Add a residual branch, and normalise the sum.

    Args:
        norm: over the last dimension.
        x: (N, tokens, dim).
        branch: likewise; None for nothing to add.
        scale: (N,) float32, factors of the images' branches; None for 1.

    Returns:
        x + scale * branch, in the type of x; its norm, (N, tokens, dim).
    """
    if _supported(norm, x, branch):
        total, y = _AddLayerNorm.apply(x, branch, scale, norm.weight, norm.bias, norm.eps)
        return x if branch is None else total, y
    if branch is not None:
        x = x + (branch if scale is None else branch * scale.view(-1, 1, 1))
    return x, norm(x)


def _supported(norm: nn.LayerNorm, x: Tensor, branch: Tensor | None) -> bool:
    return (
        not torch.compiler.is_compiling()  # a graph cannot hold the kernels
        and norm.elementwise_affine
        and norm.bias is not None
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and x.dim() == 3
        and (branch is None or branch.dtype == torch.bfloat16)
        and torch.is_autocast_enabled("cpu")
        and torch.get_autocast_dtype("cpu") == torch.bfloat16
        and supports("bfloat16")
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
        x: Tensor,
        branch: Tensor | None,
        scale: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        eps: float,
    ) -> tuple[Tensor, Tensor]:
        x = x.contiguous()
        n, tokens, _ = x.shape
        total = x if branch is None else torch.empty_like(x)
        y = torch.empty_like(x, dtype=torch.bfloat16)
        factors = torch.ones(n) if scale is None else scale
        means, inverses = torch.empty(n * tokens), torch.empty(n * tokens)
        parallel(
            add_and_normalise,
            TASKS,
            -(-n * tokens // TASKS),
            _rows(x),
            NO_BITS if branch is None else _rows(branch.contiguous()),
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
        ctx.adds = branch is not None
        ctx.set_materialize_grads(False)
        if branch is None:
            ctx.mark_non_differentiable(total := total.new_empty(0))
        return total, y

    @staticmethod
    def backward(ctx: Any, above: Tensor | None, dy: Tensor | None) -> tuple[Tensor | None, ...]:
        total, means, inverses, weight, factors = ctx.saved_tensors
        if dy is None:
            dy = torch.zeros_like(total, dtype=torch.bfloat16)
        dy = dy.to(torch.bfloat16).contiguous()
        n, tokens, dim = total.shape
        dx = torch.empty_like(total)
        d_branch = torch.empty_like(dy) if ctx.adds else None
        d_weight, d_bias = (np.empty((TASKS, dim), np.float32) for _ in range(2))
        parallel(
            normalise_backward,
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
            _rows(dx),
            NO_BITS if d_branch is None else _rows(d_branch),
            d_weight,
            d_bias,
        )
        sums = (torch.from_numpy(values.sum(0)) for values in (d_weight, d_bias))
        return dx, d_branch, None, *sums, None


@kernel
def add_and_normalise(
    task, size, residual, branch, scales, tokens, weight, bias, epsilon, total, y, means, inverses
):
    """Write residual + scales * branch to total, unless branch has no rows, and its norm to y.

    `scales` has a number for each sample of `tokens` rows. `means` and `inverses` (1 / deviation) are
    for the backward pass.
    """
    columns = residual.shape[1]
    for row in range(task * size, min((task + 1) * size, residual.shape[0])):
        line = residual[row]
        if len(branch) > 0:
            scale, more = scales[row // tokens], branch[row]
            summed = total[row]
            for column in range(columns):
                summed[column] = line[column] + scale * widen(more[column])
            line = summed
        mean = ZERO
        for column in range(columns):
            mean += line[column]
        mean /= np.float32(columns)
        square = ZERO
        for column in range(columns):
            centred = line[column] - mean
            square += centred * centred
        inverse = ONE / np.sqrt(square / np.float32(columns) + epsilon)
        target = y[row]
        for column in range(columns):
            target[column] = narrow((line[column] - mean) * inverse * weight[column] + bias[column])
        means[row], inverses[row] = mean, inverse


@kernel
def normalise_backward(
    task,
    size,
    total,
    means,
    inverses,
    weight,
    dy,
    d_total,
    scales,
    tokens,
    d_residual,
    d_branch,
    d_weight,
    d_bias,
):
    """Gradients of residual and branch from those of y and, if it has rows, of total (`d_total`).

    Row `task` of `d_weight` and `d_bias` receives this task's sums.
    """
    columns = total.shape[1]
    of_weight, of_bias = np.zeros(columns, np.float32), np.zeros(columns, np.float32)
    for row in range(task * size, min((task + 1) * size, total.shape[0])):
        line, slope, target = total[row], dy[row], d_residual[row]
        mean, inverse = means[row], inverses[row]
        mean_g, product = ZERO, ZERO
        for column in range(columns):
            normal = (line[column] - mean) * inverse
            g = widen(slope[column])
            of_weight[column] += g * normal
            of_bias[column] += g
            g *= weight[column]
            mean_g += g
            product += g * normal
        mean_g /= np.float32(columns)
        product /= np.float32(columns)
        for column in range(columns):
            normal = (line[column] - mean) * inverse
            g = widen(slope[column]) * weight[column]
            target[column] = (g - mean_g - normal * product) * inverse
        if len(d_total) > 0:
            more = d_total[row]
            for column in range(columns):
                target[column] += more[column]
        if len(d_branch) > 0:
            scale, other = scales[row // tokens], d_branch[row]
            for column in range(columns):
                other[column] = narrow(scale * target[column])
    d_weight[task] = of_weight
    d_bias[task] = of_bias
