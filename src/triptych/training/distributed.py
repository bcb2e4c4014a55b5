"""What data-parallel workers say to each other; with one process every function here does nothing.

One rule gives the right gradients everywhere. Each worker runs backward on the loss of its own share
of the batch, and `average_gradients` takes the mean over workers: the optimizer then sees the gradient
of the mean of the workers' losses. That is the gradient of the global mean loss both where a worker's
loss is the mean over its own images and where every worker computes the loss of the whole batch.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from triptych.workflow.errors import TriptychError

T = TypeVar("T")

BUCKET_BYTES = 2**25  # sent at a time: enough to saturate a link, little beside the model's gradients

_alone = False


@contextmanager
def alone() -> Iterator[None]:
    """Within it this worker takes itself for the only one and speaks to nobody; the others may wait.

    Synchronised batch norms do not know of it; see `unsynchronise_batch_norm`.
    """
    global _alone
    _alone = True
    try:
        yield
    finally:
        _alone = False


def world_size() -> int:
    """Number of workers; 1 outside of `run_workers`."""
    return dist.get_world_size() if dist.is_initialized() and not _alone else 1


def rank() -> int:
    """Number of this worker, from 0; worker 0 alone writes files and draws progress."""
    return dist.get_rank() if dist.is_initialized() and not _alone else 0


def own_share(batch: Tensor) -> Tensor:
    """The worker's part of a global batch: the `rank()`-th of equal contiguous slices of (B, ...).

    Raises:
        TriptychError: the batch cannot be shared equally.
    """
    workers = world_size()
    if len(batch) % workers:
        raise TriptychError(
            f"a batch of {len(batch)} images cannot be shared equally by {workers} workers; "
            "make batch_size a multiple of gpus"
        )
    return batch.chunk(workers)[rank()]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        gathered = z.new_empty((world_size() * len(z), *z.shape[1:]))
        dist.all_gather_single(gathered, z.contiguous())
        return gathered

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total.chunk(world_size())[rank()]


def gather_with_gradient(z: Tensor) -> Tensor:
    """Concatenate `z` of all workers in the order of their ranks: (n, ...) -> (workers * n, ...).

    Shapes and dtypes must be the same everywhere. The gradient of a worker's `z` is the sum of
    what all workers' losses contribute to it, so all of them must run backward.
    """
    return z if world_size() == 1 else _Gather.apply(z)


def gather_views(z: Tensor, *, views: int) -> Tensor:
    """Gather view-major projections into the view-major projections of the global batch.

    Row v * n + i of a worker is view v of image i of its share; row v * N + j of the result is view v
    of image j of the global batch, so a contrastive loss of the result is that of one process.
    Every worker gets the loss L of the whole batch. By the sum in `gather_with_gradient` the gradient
    in a worker's rows is then `workers` times dL/dz, and the mean that `average_gradients` takes
    over workers of gradients that each cover one share only makes it dL/dparameters.

    Args:
        z: (views * n, d), float32 even under autocast: gradients are summed in this dtype.
        views: number of views of each image.

    Returns:
        (views * N, d) with N = workers * n.
    """
    workers = world_size()
    if workers == 1:
        return z
    return gather_with_gradient(z).unflatten(0, (workers, views, -1)).transpose(0, 1).flatten(0, 2)


def _buckets(gradients: list[Tensor]) -> Iterator[list[Tensor]]:
    """Cut the list into runs of one dtype of about `BUCKET_BYTES`."""
    bucket: list[Tensor] = []
    size = 0
    for gradient in gradients:
        if bucket and (size >= BUCKET_BYTES or gradient.dtype != bucket[0].dtype):
            yield bucket
            bucket, size = [], 0
        bucket.append(gradient)
        size += gradient.nbytes
    if bucket:
        yield bucket


@torch.no_grad()
def average_gradients(model: nn.Module) -> None:
    """Replace all gradients by their mean over workers; call once between backward and the optimizer.

    Sums run in the order of the parameters, so the same gradients give the same bits, on all workers
    alike. Parameters without a gradient are left out, which must be the same ones everywhere.
    """
    workers = world_size()
    if workers == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    under_way = []
    for bucket in _buckets(gradients):
        flat = torch.cat([gradient.reshape(-1) for gradient in bucket])
        under_way.append((bucket, flat, dist.all_reduce(flat, async_op=True)))
    for bucket, flat, work in under_way:
        assert work is not None
        work.wait()
        pieces = flat.div_(workers).split([gradient.numel() for gradient in bucket])
        for gradient, piece in zip(bucket, pieces, strict=True):
            gradient.copy_(piece.view(gradient.shape))


def _owners(costs: Sequence[int]) -> list[int]:
    """Who takes what: the dearest first, each to the worker with least to do; the same list everywhere."""
    loads = [0] * world_size()
    owners = [0] * len(costs)
    for index in sorted(range(len(costs)), key=lambda index: -costs[index]):
        owners[index] = loads.index(min(loads))
        loads[owners[index]] += costs[index]
    return owners


@torch.no_grad()
def share_work(
    function: Callable[[Tensor], Tensor], values: Sequence[Tensor], costs: Sequence[int]
) -> list[Tensor]:
    """`function` of each value, of which every worker computes some and gets all, without gradient.

    Args:
        function: keeps shape and dtype.
        values: of one dtype, the same on all workers.
        costs: of each, in any unit.
    """
    if world_size() == 1:
        return [function(value) for value in values]
    results = torch.zeros(
        sum(value.numel() for value in values), dtype=values[0].dtype, device=values[0].device
    )
    pieces = results.split([value.numel() for value in values])
    for value, piece, owner in zip(values, pieces, _owners(costs), strict=True):
        if owner == rank():
            piece.copy_(function(value).reshape(-1))
    dist.all_reduce(results)  # whoever did not compute a piece adds zeros to it
    return [piece.view(value.shape) for value, piece in zip(values, pieces, strict=True)]


@torch.no_grad()
def average(value: Tensor) -> Tensor:
    """Mean of a tensor over workers, the same bits on all of them; without gradient."""
    workers = world_size()
    if workers == 1:
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / workers


def broadcast_object(value: T) -> T:
    """Worker 0's `value`, on all workers, whatever they passed; it must be picklable.

    Workers wait on the CPU for it, without a limit that a long evaluation could reach.
    """
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def barrier() -> None:
    """Wait, on the CPU, until all workers are here."""
    if world_size() > 1:
        # dist.barrier() would occupy the GPU where there is one.
        dist.all_reduce(torch.zeros(1))
