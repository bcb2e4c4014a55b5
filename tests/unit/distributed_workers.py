"""What the workers of the distributed tests do; they import it, and it imports little."""

import logging
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from toy_training import train_as_worker

from triptych.ssl.nt_xent import nt_xent
from triptych.training.distributed import (
    average,
    barrier,
    broadcast_object,
    data_parallel,
    gather_views,
    rank,
    shard,
    world_size,
)
from triptych.workflow.errors import TriptychError

IMAGES, VIEWS, STEPS = 16, 2, 3


def contrastive_run(dtype: torch.dtype) -> dict[str, Any]:
    """Three steps of SimCLR on a small network without batch norm, by as many workers as there are."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(12, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 16)).to(dtype)
    model = data_parallel(network)
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9)
    losses, first = [], {}
    for step in range(STEPS):
        views = torch.randn(VIEWS, IMAGES, 12, generator=torch.Generator().manual_seed(step)).to(dtype)
        z = model(views[:, shard(torch.arange(IMAGES))].flatten(0, 1))
        loss = nt_xent(gather_views(z.float(), views=VIEWS), 1.0)
        optimizer.zero_grad()
        loss.backward()
        gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
        first = first or {name: gradient.clone() for name, gradient in gradients.items()}
        optimizer.step()
        losses.append(average(loss))
    return {"losses": torch.stack(losses), "first_gradients": first, "state": network.state_dict()}


def supervised_gradients() -> dict[str, Tensor]:
    """Gradients of a loss that each worker averages over its own shard, with a frozen layer."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 1), nn.Linear(1, 1))
    network[3].requires_grad_(False)
    model = data_parallel(network)
    loss = model(shard(torch.randn(12, 6))).square().mean()
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return {**gradients, "loss": average(loss)}


def gathered_gradient() -> tuple[Tensor, Tensor]:
    """Each worker weighs the gathered rows by its own weights; a row's gradient is the weights' sum."""
    z = (10.0 * rank() + torch.arange(4.0)).view(2, 2).requires_grad_()
    gathered = gather_views(z, views=1)
    weights = (1.0 + rank()) * torch.arange(1.0, 1 + gathered.numel()).view_as(gathered)
    (gathered * weights).sum().backward()
    assert z.grad is not None
    return gathered.detach(), z.grad


def refused_batch_norm() -> str:
    """The error for batch norm on a CPU."""
    try:
        data_parallel(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)))
    except TriptychError as error:
        return str(error)
    return ""


def everything(folder: Path, still: dict[str, Any], noisy: dict[str, Any]) -> dict[str, Any]:
    """One visit to the workers for all tests of numbers."""
    logging.getLogger("triptych").info("worker %d at work", rank())
    run, again = contrastive_run(torch.float32), contrastive_run(torch.float32)
    state_of_zero = broadcast_object(run["state"])
    same_bits = all(
        torch.equal(value, again["state"][name]) and torch.equal(value, state_of_zero[name])
        for name, value in run["state"].items()
    )
    rank_of_zero = broadcast_object({"rank": rank()})["rank"]
    barrier()
    gathered, gradient = gathered_gradient()
    return {
        "run": run,
        "run_float64": contrastive_run(torch.float64),
        "fraction_with_the_same_bits": average(torch.tensor(float(same_bits))).item(),
        "supervised": supervised_gradients(),
        "gathered": gathered,
        "gathered_gradient": gradient,
        "views": gather_views(torch.tensor([[0.0], [1.0], [10.0], [11.0]]) + 2 * rank(), views=2),
        "refused_batch_norm": refused_batch_norm(),
        "still": train_as_worker(folder / "still", still),
        "noisy": train_as_worker(folder / "noisy", noisy),
        "rank_of_zero": rank_of_zero,
        "world_size": world_size(),
        "threads": torch.get_num_threads(),
    }


def fail_on(failing: int, how: str) -> None:
    """One worker fails; the others wait for it in a collective."""
    if rank() == failing:
        if how == "triptych":
            raise TriptychError("simclr: the loss is nan; lower learning_rate")
        if how == "defect":
            raise KeyError("missing")
        os.kill(os.getpid(), signal.SIGKILL)
    barrier()


def wait_forever(folder: str) -> None:
    """Leave the process id in `folder`; worker 0 waits in a collective, the others asleep."""
    (Path(folder) / f"{rank()}.pid").write_text(str(os.getpid()))
    if rank():
        time.sleep(1000)
    barrier()
