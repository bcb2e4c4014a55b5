"""A training of seconds with dropout and noise, so that every kind of randomness is in play."""

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from triptych.config.training import Training
from triptych.training.checkpoint import Checkpoints
from triptych.training.loop import Batch, Fitted, fit

RECIPE = Training(
    epochs=3, batch_size=8, nesterov=True, weight_decay=1e-4, warmup_epochs=1, precision="float32"
).model_dump()
EXAMPLES = 200
STEPS = EXAMPLES // RECIPE["batch_size"]
EVERYTHING = {"accumulate": 2, "clip_norm": 0.5, "ema": 0.9, "schedule": "one_cycle", "decay_biases": False}


def data() -> tuple[Tensor, Tensor]:
    """200 points and the sine of their first coordinate."""
    x = torch.randn(EXAMPLES, 6, generator=torch.Generator().manual_seed(1))
    return x, x[:, :1].sin()


@torch.no_grad()
def error(model: nn.Module) -> float:
    """Mean squared error on the points."""
    x, y = data()
    return (model(x) - y).square().mean().item()


def network(dropout: float, norm: bool) -> nn.Sequential:
    """Three layers, the same weights each time."""
    torch.manual_seed(0)
    first = [
        nn.Linear(6, 16),
        nn.BatchNorm1d(16) if norm else nn.LayerNorm(16),
        nn.ReLU(),
        nn.Dropout(dropout),
    ]
    return nn.Sequential(*first, nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 1))


def train(
    folder: Path,
    *,
    every: float = 1e9,
    delay: float = 0.0,
    dropout: float = 0.3,
    noise: float = 0.1,
    norm: bool = True,
    evaluate: Callable[[nn.Module], float] = error,
    seen: list[Batch] | None = None,
    **changes: Any,
) -> tuple[nn.Module, Fitted]:
    """Learn a sine; checkpoints every `every` seconds, each step `delay` longer, the recipe changed.

    With `norm`, by a network with batch norm, which several workers on a CPU cannot have.
    """
    x, y = data()
    model = network(dropout, norm)

    def prepare(batch: Batch) -> tuple[Tensor, Tensor]:
        time.sleep(delay)
        if seen is not None:
            seen.append(batch)
        disturbance = noise * torch.randn(len(batch.indices), 6, generator=batch.generator)
        return x[batch.indices] + disturbance, y[batch.indices]

    def loss_of(model: nn.Module, inputs: tuple[Tensor, Tensor]) -> Tensor:
        return (model(inputs[0]) - inputs[1]).square().mean()

    fitted = fit(
        model,
        prepare,
        loss_of,
        num_examples=len(x),
        recipe={**RECIPE, **changes},
        seed=0,
        device=torch.device("cpu"),
        label="toy",
        folder=folder,
        checkpoints=Checkpoints(folder / "checkpoints", "toy", every=every),
        evaluate=lambda: {"error": evaluate(model)},
        select="error",
    )
    return model, fitted


def same(a: nn.Module, b: nn.Module) -> bool:
    """Whether two models agree in every bit."""
    return all(torch.equal(x, b.state_dict()[name]) for name, x in a.state_dict().items())


def die() -> None:
    """End this process as a full machine would."""
    os.kill(os.getpid(), signal.SIGKILL)


def train_and_die(folder: Path, place: str, moment: int, changes: dict[str, Any]) -> None:
    """Train in this process and kill it.

    Args:
        folder: of the run.
        place: `time`: at a random time; `saving`: with half of a checkpoint written; `evaluating`.
        moment: seed of the time; number of the checkpoint or evaluation, from 0.
        changes: to the recipe.
    """
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, lambda *_: die())
    write, saved = Path.write_bytes, 0  # by which checkpoints are written, and nothing else here
    evaluated = 0

    def fatal_write(path: Path, content: memoryview) -> int:
        nonlocal saved
        if place == "saving" and saved == moment:
            write(path, content[: len(content) // 2])
            die()
        size = write(path, content)
        if place == "time" and saved == 0:
            signal.setitimer(signal.ITIMER_REAL, 0.8 * random.Random(moment).random())
        saved += 1
        return size

    def fatal_error(model: nn.Module) -> float:
        nonlocal evaluated
        if place == "evaluating" and evaluated == moment:
            die()
        evaluated += 1
        return error(model)

    Path.write_bytes = fatal_write  # type: ignore[assignment, method-assign]
    train(folder, every=0.05, delay=0.01, evaluate=fatal_error, **changes)


def train_as_worker(folder: Path, options: dict[str, Any]) -> tuple[nn.Module, Fitted]:
    """`train` for `run_workers`, which passes arguments by position; without batch norm."""
    return train(folder, norm=False, **options)


def kill(model: nn.Module) -> float:
    """An evaluation during which the process is killed."""
    die()
    return error(model)


def stop_all(model: nn.Module) -> float:
    """An evaluation during which all processes of the group are terminated."""
    value = error(model)
    for _ in range(2):  # as Slurm does
        os.killpg(os.getpgrp(), signal.SIGTERM)
        time.sleep(0.05)
    return value
