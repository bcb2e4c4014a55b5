"""A training that needs much memory, in a process that has little."""

import resource
from pathlib import Path

import torch
from torch import nn
from toy_training import RECIPE

from triptych.training import loop
from triptych.training.checkpoint import Checkpoints

CPU = torch.device("cpu")


def limit_memory(room: int) -> None:
    """Let this process have `room` MiB more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def train(folder: Path, batch_size: int, accumulate: int) -> None:
    """One step."""
    torch.manual_seed(0)
    hidden = [nn.Linear(8, 4096), nn.BatchNorm1d(4096), nn.ReLU()]
    model = nn.Sequential(*hidden, nn.Linear(4096, 1))
    recipe = {**RECIPE, "batch_size": batch_size, "accumulate": accumulate, "epochs": 1, "optimizer": "adam"}
    run = folder / f"{batch_size}-{accumulate}"
    x = torch.ones(batch_size, 8)
    loop.fit(
        model,
        lambda batch: x[batch.indices],
        lambda model, inputs: model(inputs).square().mean(),
        num_examples=batch_size,
        recipe=recipe,
        seed=0,
        device=CPU,
        label="toy",
        folder=run,
        checkpoints=Checkpoints(run / "checkpoints", "toy"),
    )


def train_in_limited_memory(folder: str, room: int, batch_size: int, accumulate: int) -> str:
    """`train` with `room` MiB."""
    # Kept memory is fragmented, differently from process to process.
    loop.keep_large_allocations = lambda: None  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    train(Path(folder), 64, 2)  # what starts with the first training is in memory now
    limit_memory(room)
    train(Path(folder), batch_size, accumulate)
    return "fits"
