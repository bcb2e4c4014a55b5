"""Data-parallel training: one process per GPU. With one process, every function here has no effect.

Every worker computes the gradient of its own loss, and `DistributedDataParallel` takes the mean over
workers. That is the gradient of the loss of the whole batch, both if a worker's loss is the mean over
its own images and if every worker computes the loss of the whole batch (see `gather_views`).
"""

from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.nn.functional import all_gather
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from triptych.workflow.errors import TriptychError

T = TypeVar("T")


def world_size() -> int:
    """Number of workers; 1 outside of `run_workers`."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Number of this worker, from 0; worker 0 alone writes files and draws progress."""
    return dist.get_rank() if dist.is_initialized() else 0


def shard(batch: Tensor) -> Tensor:
    """The worker's equal contiguous slice of a global batch (B, ...); a `TriptychError` if there is none."""
    workers = world_size()
    if len(batch) % workers:
        raise TriptychError(
            f"a batch of {len(batch)} images cannot be divided equally among {workers} workers; "
            "make batch_size a multiple of gpus"
        )
    return batch.chunk(workers)[rank()]


def data_parallel(model: nn.Module) -> nn.Module:
    """The model with gradients averaged over workers and batch norms over the global batch.

    Parameters and buffers stay the same tensors under the same names in `model`, whose batch norms are
    replaced in place. Raises `TriptychError` if the model has batch norms and is not on a CUDA device: torch
    synchronises them there only.
    """
    if world_size() == 1:
        return model
    device = next(model.parameters()).device
    if device.type != "cuda" and any(isinstance(module, _BatchNorm) for module in model.modules()):
        raise TriptychError(
            f"gpus is {world_size()}, but batch norm over several workers needs CUDA, not device "
            f"'{device.type}'; set gpus: 1, which uses all threads of a CPU"
        )
    model = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return DistributedDataParallel(model, broadcast_buffers=False)


def gather_views(z: Tensor, *, views: int) -> Tensor:
    """Gather view-major projections (views * n, d), float32, into the (views * workers * n, d) of the global
    batch.

    Row v * n + i of a worker is view v of image i of its shard, and so in the global batch: a contrastive
    loss of the result is that of one process. Every worker computes the loss L of the whole batch. The
    gradient in its rows is the sum of what all workers' losses contribute, `workers` times dL/dz; the mean
    over workers of gradients that each cover one shard only makes it dL/dparameters.
    """
    if world_size() == 1:
        return z
    return torch.stack(all_gather(z)).unflatten(1, (views, -1)).transpose(0, 1).flatten(0, 2)


@torch.no_grad()
def average(value: Tensor) -> Tensor:
    """Mean of a tensor over workers, the same bits on all of them; without gradient."""
    if world_size() == 1:
        return value.detach()
    total = value.detach().clone()
    dist.all_reduce(total)
    return total / world_size()


def broadcast_object(value: T) -> T:
    """Worker 0's `value`, which is pickled, on all workers; they wait on the CPU, without a limit."""
    if world_size() == 1:
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
    return box[0]


def barrier() -> None:
    """Wait, on the CPU, until all workers are here."""
    if world_size() > 1:
        # dist.barrier() would occupy a GPU.
        dist.all_reduce(torch.zeros(1))
