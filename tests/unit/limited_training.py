"""A training that needs much memory, in a process that has little."""

import resource
from pathlib import Path

import torch
from torch import nn
from toy_training import RECIPE

from triptych.training import engine
from triptych.training.checkpoint import Checkpoints
from triptych.training.distributed import gather_views
from triptych.training.sync_batch_norm import synchronise_batch_norm

CPU = torch.device("cpu")


def limit_memory(room: int) -> None:
    """Let this process have `room` MiB more than it has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + room * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def train(folder: Path, batch_size: int, accumulate: int) -> None:
    """One step, by as many workers as there are, whose losses look at all their images."""
    torch.manual_seed(0)
    hidden = [nn.Linear(8, 4096), nn.BatchNorm1d(4096), nn.ReLU()]
    model = synchronise_batch_norm(nn.Sequential(*hidden, nn.Linear(4096, 1)), CPU)
    recipe = {**RECIPE, "batch_size": batch_size, "accumulate": accumulate, "epochs": 1, "optimizer": "adam"}
    place = folder / f"{batch_size}-{accumulate}"
    x = torch.ones(batch_size, 8)
    engine.fit(
        model,
        lambda batch: x[batch.indices],
        lambda inputs: gather_views(model(inputs), views=1).square().mean(),
        size=batch_size,
        recipe=recipe,
        seed=0,
        device=CPU,
        label="toy",
        checkpoints=Checkpoints(place / "checkpoints", "toy"),
        events=place / "tensorboard",
        history=place / "history.csv",
    )


def train_in_limited_memory(folder: str, room: int, batch_size: int, accumulate: int) -> str:
    """`train` with `room` MiB."""
    # Kept memory comes in pieces, and which piece fits where differs from process to process.
    engine.keep_large_allocations = lambda: None  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    train(Path(folder), 64, 2)  # what starts with the first training is in memory now
    limit_memory(room)
    train(Path(folder), batch_size, accumulate)
    return "fits"
