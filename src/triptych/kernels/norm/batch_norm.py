"""Batch normalisation, addition of a shortcut and ReLU as one operation.

In PyTorch each is a pass or two over memory, together a third of a residual network's step on a CPU. On
CPUs with wide enough registers kernels of ours fuse them, in bfloat16 and in float32, in training with
gradients and in evaluation without; otherwise these are torch's own operations.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.kernels.compiler.jit import has_float_products
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.norm import compiled_batch_norm as kernels
from triptych.workflow.devices import has_fast_bfloat16

TASKS = 32  # slices of a map: what a thread works on at a time


def batch_norm_relu(
    norm: nn.Module, x: Tensor, residual: Tensor | None = None, *, relu: bool = True
) -> Tensor:
    """relu(norm(x) + residual): (N, C, H, W) -> the same; `residual` needs `relu`."""
    if not (isinstance(norm, nn.BatchNorm2d) and _fits(norm, x, residual)):
        y = norm(x)
        y = y if residual is None else y + residual
        return torch.relu(y) if relu else y
    assert (
        norm.running_mean is not None
        and norm.running_var is not None
        and norm.num_batches_tracked is not None
    )
    if not norm.training:
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        offset = norm.bias.double() - norm.running_mean.double() * scale
        return _normalise(x, scale.numpy(), offset.numpy(), residual, relu)
    y, mean, variance = _BatchNormReLU.apply(x, norm.weight, norm.bias, residual, relu, norm.eps)
    with torch.no_grad():
        norm.num_batches_tracked += 1
        share = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
        count = x.numel() // x.shape[1]
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance * (count / max(count - 1, 1)), share)
    result: Tensor = y
    return result


def _fits(norm: nn.BatchNorm2d, x: Tensor, residual: Tensor | None) -> bool:
    return (
        not torch.compiler.is_compiling()  # a graph cannot hold our kernels
        and type(norm) is nn.BatchNorm2d
        and norm.training == torch.is_grad_enabled()
        and norm.affine
        and norm.track_running_stats
        and x.device.type == "cpu"
        and (
            has_float_products()
            if x.dtype == torch.float32
            else x.dtype == torch.bfloat16 and has_fast_bfloat16(x.device)
        )
        and x.is_contiguous(memory_format=torch.channels_last)
        and (residual is None or residual.dtype == x.dtype)
    )


def _rows(x: Tensor) -> NDArray[Any]:
    """A channels_last map as (rows, channels), bfloat16 as uint16, sharing memory."""
    x = x.detach()
    plain = x if x.dtype == torch.float32 else x.view(torch.int16)
    array: NDArray[Any] = plain.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).numpy()
    return array if x.dtype == torch.float32 else array.view(np.uint16)


def _normalise(
    x: Tensor, scale: NDArray[Any], offset: NDArray[Any], residual: Tensor | None, relu: bool
) -> Tensor:
    """The sum x * scale + offset + residual, rectified or not."""
    rows, y = _rows(x), torch.empty_like(x)
    other = rows
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
        other = _rows(residual)
    parallel(
        kernels.normalise,
        TASKS,
        rows,
        -(-len(rows) // TASKS),
        scale.astype(np.float32),
        offset.astype(np.float32),
        other,
        residual is not None,
        relu,
        _rows(y),
    )
    return y


class _BatchNormReLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, relu: bool, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _rows(x)
        count, channels = rows.shape
        size = -(-count // TASKS)
        # the sums of squares lose digits unless taken around something near the mean
        shift = x.detach()[0, :, 0, 0].float().numpy()
        sums, squares = (np.empty((TASKS, channels), np.float32) for _ in range(2))
        parallel(kernels.moments, TASKS, rows, size, shift, sums, squares)
        away = sums.sum(0, dtype=np.float64) / count
        variance = np.maximum(squares.sum(0, dtype=np.float64) / count - away**2, 0)
        mean = shift + away
        inverse = 1 / np.sqrt(variance + eps)
        scale = weight.detach().double().numpy() * inverse
        offset = bias.detach().double().numpy() - mean * scale
        y = _normalise(x, scale, offset, residual, relu)
        moments = torch.from_numpy(mean).float(), torch.from_numpy(variance).float()
        ctx.save_for_backward(x, weight, bias, None if residual is None else y)
        ctx.mean, ctx.inverse, ctx.relu = mean, inverse, relu
        ctx.mark_non_differentiable(*moments)
        return y, *moments

    @staticmethod
    def backward(ctx: Any, dy: Tensor, *_: Any) -> tuple[Tensor | None, ...]:
        x, weight, bias, y = ctx.saved_tensors
        rows = _rows(x)
        count, channels = rows.shape
        size = -(-count // TASKS)
        dy = dy.to(x.dtype).contiguous(memory_format=torch.channels_last)
        sums, products = (np.empty((TASKS, channels), np.float32) for _ in range(2))
        shift = ctx.mean.astype(np.float32)
        scale = weight.detach().double().numpy() * ctx.inverse
        offset = bias.detach().double().numpy() - ctx.mean * scale
        forward = scale.astype(np.float32), offset.astype(np.float32), ctx.relu and y is None
        masked = None
        if y is None:
            g = _rows(dy)
            parallel(kernels.gradient_sums, TASKS, rows, g, size, shift, *forward, sums, products)
        else:
            masked = torch.empty_like(dy)
            g = _rows(masked)
            parallel(kernels.shortcut_sums, TASKS, rows, _rows(dy), _rows(y), size, shift, g, sums, products)
        total = sums.sum(0, dtype=np.float64)
        product = products.sum(0, dtype=np.float64) * ctx.inverse
        # dx = scale * (g - mean(g) - x_hat * mean(g * x_hat)), as a linear function of g and x
        of_x = -scale * ctx.inverse * product / count
        constant = -scale * total / count - of_x * ctx.mean
        linear = (values.astype(np.float32) for values in (scale, of_x, constant))
        dx = torch.empty_like(x)
        parallel(kernels.input_gradient, TASKS, rows, g, size, *linear, *forward, _rows(dx))
        return dx, torch.from_numpy(product).float(), torch.from_numpy(total).float(), masked, None, None
