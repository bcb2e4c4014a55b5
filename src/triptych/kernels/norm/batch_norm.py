"""Batch normalisation, addition of a residual and ReLU as one operation.

In PyTorch each is a pass or two over memory, together a third of a residual network's step on a CPU. The
kernels fuse them, in bfloat16 and in float32, in training with gradients and in evaluation without.

The kernels' maps are (rows, channels) as channels_last tensors lie in memory, in float32, or bfloat16 seen as
uint16. A task is a slice of rows; sums of a task go to rows of their own, so results do not depend on the
number of threads.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.kernels.compiler.vectors import as_stored, widen
from triptych.kernels.registry import supports

TASKS = 32  # slices of a map: what a thread works on at a time
ZERO = np.float32(0)


class BatchNorm2d(nn.BatchNorm2d):
    """`nn.BatchNorm2d`, by a kernel where its input is supported."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same."""
        return batch_norm(self, x)


def batch_norm(norm: Any, x: Tensor, residual: Tensor | None = None, *, relu: bool = False) -> Tensor:
    """norm(x), plus a residual, through ReLU: (N, C, H, W) -> the same.

    Args:
        norm: any module; a kernel runs it if it is an `nn.BatchNorm2d`.
        x: (N, C, H, W).
        residual: likewise; only with `relu`.
        relu: whether to apply ReLU at the end.
    """
    if not (type(norm) in (nn.BatchNorm2d, BatchNorm2d) and _supported(norm, x, residual)):
        y = nn.BatchNorm2d.forward(norm, x) if isinstance(norm, BatchNorm2d) else norm(x)
        y = y if residual is None else y + residual
        return torch.relu(y) if relu else y
    if not norm.training:
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        offset = norm.bias.double() - norm.running_mean.double() * scale
        return _normalise(x, scale.numpy(), offset.numpy(), residual, relu)
    result: Tensor
    result, mean, variance = _BatchNorm.apply(x, norm.weight, norm.bias, residual, relu, norm.eps)
    with torch.no_grad():
        norm.num_batches_tracked += 1
        momentum = norm.momentum if norm.momentum is not None else 1 / float(norm.num_batches_tracked)
        count = x.numel() // x.shape[1]
        norm.running_mean.lerp_(mean, momentum)
        norm.running_var.lerp_(variance * (count / max(count - 1, 1)), momentum)
    return result


def _supported(norm: Any, x: Tensor, residual: Tensor | None) -> bool:
    return (
        not torch.compiler.is_compiling()  # a graph cannot hold the kernels
        and norm.training == torch.is_grad_enabled()
        and norm.affine
        and norm.track_running_stats
        and x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and supports("avx2" if x.dtype == torch.float32 else "bfloat16")
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
    """The sum x * scale + offset + residual, through ReLU or not."""
    rows, y = _rows(x), torch.empty_like(x)
    other = rows
    if residual is not None:
        residual = residual.contiguous(memory_format=torch.channels_last)
        other = _rows(residual)
    parallel(
        normalise,
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


class _BatchNorm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, residual: Tensor | None, relu: bool, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        rows = _rows(x)
        count, channels = rows.shape
        size = -(-count // TASKS)
        # sums of squares lose digits unless they are taken around a value near the mean
        shift = x.detach()[0, :, 0, 0].float().numpy()
        sums, squares = (np.empty((TASKS, channels), np.float32) for _ in range(2))
        parallel(moment_sums, TASKS, rows, size, shift, sums, squares)
        from_shift = sums.sum(0, dtype=np.float64) / count
        variance = np.maximum(squares.sum(0, dtype=np.float64) / count - from_shift**2, 0)
        mean = shift + from_shift
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
            parallel(gradient_sums, TASKS, rows, g, size, shift, *forward, sums, products)
        else:
            masked = torch.empty_like(dy)
            g = _rows(masked)
            parallel(shortcut_sums, TASKS, rows, _rows(dy), _rows(y), size, shift, g, sums, products)
        total = sums.sum(0, dtype=np.float64)
        product = products.sum(0, dtype=np.float64) * ctx.inverse
        # dx = scale * (g - mean(g) - x_hat * mean(g * x_hat)), as a linear function of g and x
        of_x = -scale * ctx.inverse * product / count
        constant = -scale * total / count - of_x * ctx.mean
        linear = (values.astype(np.float32) for values in (scale, of_x, constant))
        dx = torch.empty_like(x)
        parallel(input_gradient, TASKS, rows, g, size, *linear, *forward, _rows(dx))
        return dx, torch.from_numpy(product).float(), torch.from_numpy(total).float(), masked, None, None


@kernel
def moment_sums(task, x, size, shift, sums, squares):
    """Sums and sums of squares of x - shift, per channel, over rows size * task to size * (task + 1) - 1."""
    channels = x.shape[1]
    # arrays of its own: threads that write to neighbouring cache lines hold each other up
    total, square = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line = x[row]
        for channel in range(channels):
            value = widen(line[channel]) - shift[channel]
            total[channel] += value
            square[channel] += value * value
    sums[task] = total
    squares[task] = square


@kernel
def normalise(task, x, size, scale, bias, residual, add, rectify, y):
    """Write x * scale + bias to y: with `add` max(0, … + residual), with `rectify` max(0, …)."""
    channels, like = x.shape[1], y.dtype.type(0)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        source, target = x[row], y[row]
        if add:
            other = residual[row]
            for channel in range(channels):
                value = widen(source[channel]) * scale[channel] + bias[channel] + widen(other[channel])
                target[channel] = as_stored(max(value, ZERO), like)
        elif rectify:
            for channel in range(channels):
                value = widen(source[channel]) * scale[channel] + bias[channel]
                target[channel] = as_stored(max(value, ZERO), like)
        else:
            for channel in range(channels):
                target[channel] = as_stored(widen(source[channel]) * scale[channel] + bias[channel], like)


@kernel
def gradient_sums(task, x, dy, size, shift, scale, bias, rectify, sums, products):
    """Sums of g and of g * (x - shift), per channel; g is dy, with `rectify` where x * scale + bias > 0."""
    channels = x.shape[1]
    total, product = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient = x[row], dy[row]
        if rectify:
            for channel in range(channels):
                value = widen(line[channel])
                g = widen(gradient[channel]) if value * scale[channel] + bias[channel] > ZERO else ZERO
                total[channel] += g
                product[channel] += g * (value - shift[channel])
        else:
            for channel in range(channels):
                g = widen(gradient[channel])
                total[channel] += g
                product[channel] += g * (widen(line[channel]) - shift[channel])
    sums[task] = total
    products[task] = product


@kernel
def shortcut_sums(task, x, dy, y, size, shift, g, sums, products):
    """As `gradient_sums`, but g is dy where y is positive, which had a shortcut added.

    g is written: it is the shortcut's gradient.
    """
    channels, zero = x.shape[1], y.dtype.type(0)
    total, product = np.zeros(channels, np.float32), np.zeros(channels, np.float32)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient, output, masked = x[row], dy[row], y[row], g[row]
        for channel in range(channels):
            kept = gradient[channel] if output[channel] > zero else zero
            masked[channel] = kept
            value = widen(kept)
            total[channel] += value
            product[channel] += value * (widen(line[channel]) - shift[channel])
    sums[task] = total
    products[task] = product


@kernel
def input_gradient(task, x, g, size, of_g, of_x, constant, scale, bias, rectify, dx):
    """Write dx = of_g * g + of_x * x + constant; with `rectify`, g counts where x * scale + bias > 0 only."""
    channels, like = x.shape[1], dx.dtype.type(0)
    for row in range(task * size, min((task + 1) * size, x.shape[0])):
        line, gradient, target = x[row], g[row], dx[row]
        if rectify:
            for channel in range(channels):
                value = widen(line[channel])
                part = widen(gradient[channel]) if value * scale[channel] + bias[channel] > ZERO else ZERO
                value = part * of_g[channel] + value * of_x[channel] + constant[channel]
                target[channel] = as_stored(value, like)
        else:
            for channel in range(channels):
                value = widen(gradient[channel]) * of_g[channel] + widen(line[channel]) * of_x[channel]
                target[channel] = as_stored(value + constant[channel], like)
