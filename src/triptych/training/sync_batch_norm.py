"""Batch norm over the batches of all data-parallel workers.

Ioffe and Szegedy, Batch Normalization, 2015, with the mean and variance of the global batch.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm


def _global_moments(x: Tensor, alone: bool) -> tuple[Tensor, Tensor, float]:
    """Mean and biased variance (C,) over all workers' (n, C, ...), and the number of values a channel.

    Each worker centres on its own mean and the moments are merged after Chan et al. 1983, in float64:
    sums of squares would cancel where a mean is large beside its deviation.
    """
    dims = [0, *range(2, x.dim())]
    variance, mean = torch.var_mean(x, dims, correction=0)
    count = x.numel() / x.shape[1]
    own = torch.cat([mean.double(), variance.double(), mean.new_tensor([count]).double()])[None]
    if alone or not dist.is_initialized():
        return mean, variance, count
    parts = own.new_empty((dist.get_world_size(), own.shape[1]))
    dist.all_gather_single(parts, own)
    means, variances = parts[:, :-1].chunk(2, dim=1)
    counts = parts[:, -1:]
    total = counts.sum()
    overall = (counts * means).sum(0) / total
    spread = (counts * (variances + (means - overall).square())).sum(0) / total
    return overall.to(mean.dtype), spread.to(mean.dtype), total.item()


class _GlobalNorm(torch.autograd.Function):
    """y = (x - mean) / sqrt(variance + eps) * weight + bias, with the moments of all workers."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float, alone: bool
    ) -> tuple[Tensor, Tensor, Tensor, float]:
        """Output like `x`, mean and biased variance (C,) in float32 or wider, global count."""
        mean, variance, count = _global_moments(x.to(torch.promote_types(x.dtype, torch.float32)), alone)
        ctx.save_for_backward(x, weight, mean, variance)
        ctx.eps, ctx.count, ctx.alone = eps, count, alone
        ctx.mark_non_differentiable(mean, variance)
        return F.batch_norm(x, mean, variance, weight, bias, eps=eps), mean, variance, count

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, gradient: Tensor, *_: Any
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        """Gradients of weight and bias are this worker's; that of `x` has all workers' losses in it."""
        x, weight, mean, variance = ctx.saved_tensors
        shape = (1, -1, *(1,) * (x.dim() - 2))
        dims = [0, *range(2, x.dim())]
        scale = (variance + ctx.eps).rsqrt()
        normal = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        dy = gradient.to(mean.dtype)
        sums = torch.stack([dy.sum(dims), (dy * normal).sum(dims)])
        of_bias, of_weight = sums.clone() if weight is not None else (None, None)
        of_x = None
        if ctx.needs_input_grad[0]:
            if not ctx.alone and dist.is_initialized():
                dist.all_reduce(sums)
            of_mean, of_variance = (sums / ctx.count).view(2, *shape)
            if weight is not None:
                scale = scale * weight
            of_x = ((dy - of_mean - normal * of_variance) * scale.view(shape)).to(x.dtype)
        return of_x, of_weight, of_bias, None, None


class SyncBatchNorm(_BatchNorm):
    """Batch norm of (n, C), (n, C, L) or (n, C, H, W) over all workers' batches, on any device.

    In training mode every worker must call it, in the same order, with at least one value a channel.
    Each channel's running variance is updated with the unbiased variance of the global batch. In eval
    mode it is ordinary batch norm. The reference for torch's own class, which knows no CPU tensors.

    Attributes:
        alone: it asks no other worker (False).
    """

    alone = False

    def _check_input_dim(self, input: Tensor) -> None:
        if not 2 <= input.dim() <= 4:
            raise ValueError(f"expected 2 to 4 dimensions, got {input.dim()}")

    # Collectives inside of autograd functions can't be traced: compiled models are cut here.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def forward(self, input: Tensor) -> Tensor:
        """Normalised `input`, in its shape and dtype."""
        if not self.training:
            return super().forward(input)
        self._check_input_dim(input)
        output, mean, variance, count = _GlobalNorm.apply(input, self.weight, self.bias, self.eps, self.alone)
        if self.running_mean is not None and self.running_var is not None:
            assert self.num_batches_tracked is not None
            self.num_batches_tracked.add_(1)
            # Without a momentum the running statistics are the plain average of all batches.
            rate = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
            self.running_mean.lerp_(mean.to(self.running_mean.dtype), rate)
            unbiased = variance * (count / max(count - 1, 1))
            self.running_var.lerp_(unbiased.to(self.running_var.dtype), rate)
        return output


def _synchronised(norm: _BatchNorm) -> SyncBatchNorm:
    """A synchronised norm with the parameters, buffers, mode and settings of this one."""
    sync = SyncBatchNorm(norm.num_features, norm.eps, norm.momentum, affine=False, track_running_stats=False)
    sync.affine, sync.track_running_stats = norm.affine, norm.track_running_stats
    for name, parameter in norm.named_parameters(recurse=False):
        sync.register_parameter(name, parameter)
    for name, buffer in norm.named_buffers(recurse=False):
        sync.register_buffer(name, buffer)
    return sync.train(norm.training)


def synchronise_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Replace every batch norm inside `model` by a synchronised one; nothing happens without workers.

    Parameters and buffers stay the same objects under the same names, so optimizers, checkpoints
    and saved weights do not notice. Call it before `torch.compile`.

    Args:
        model: changed in place, unless it is itself a batch norm.
        device: of the model; on CUDA torch's own `nn.SyncBatchNorm` is taken, elsewhere `SyncBatchNorm`.

    Returns:
        The model.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return model
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(model)
    if isinstance(model, _BatchNorm):
        return _synchronised(model)
    for name, child in model.named_children():
        model.add_module(name, synchronise_batch_norm(child, device))
    return model


def unsynchronise_batch_norm(model: nn.Module) -> None:
    """Let synchronised batch norms ask no other worker from now on, and take as much memory as before."""
    for module in model.modules():
        if isinstance(module, SyncBatchNorm):
            module.alone = True
        elif isinstance(module, nn.SyncBatchNorm):
            module.eval()  # the only way to make torch's class ask nobody
