"""The number of epochs of SimCLR that fit into a number of minutes on this machine.

The number is measured and fixed before the training begins. The training itself is defined in epochs, so it
is as repeatable as any other: on a slower machine the plan has fewer epochs, but the same plan has the same
result.
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch

from triptych.data.packed import PackedDataset
from triptych.ssl.monitor import Monitor
from triptych.ssl.simclr import SimCLR
from triptych.training.batches import Batches
from triptych.training.memory import keep_large_allocations, out_of_memory_advice
from triptych.training.optimizer import make_optimizer
from triptych.training.step import TrainingStep
from triptych.training.train_state import TrainState
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

WARM_UP = 3  # steps that are not timed: kernels are compiled, memory is allocated
MIN_SECONDS, MIN_STEPS = 10.0, 5  # minimum length of a measurement
# A step's time does not depend on these values, so a plan stays valid when the recipe changes them.
UNTIMED = {"learning_rate": 1e-3, "weight_decay": 0.0, "temperature": 0.5}


def plan_epochs(minutes: float, *, epoch_seconds: float, monitor_seconds: float, monitor_every: int) -> int:
    """Epochs, with evaluations by the monitor, that fit into `minutes`; a `TriptychError` if none does."""
    each = epoch_seconds + monitor_seconds / monitor_every
    epochs = int((60 * minutes - monitor_seconds) / each)  # there is always an evaluation at the end
    if epochs < 1:
        raise TriptychError(
            f"simclr: one epoch takes about {(epoch_seconds + monitor_seconds) / 60:.1f} minutes here, more "
            f"than minutes: {minutes:g}; raise it, or use smaller views or fewer images"
        )
    return epochs


def typical_seconds(step: Callable[[], None]) -> float:
    """Median seconds of `step` after a warm-up; a mean would be disturbed by other work on the machine."""
    for _ in range(WARM_UP):
        step()
    seconds: list[float] = []
    while len(seconds) < MIN_STEPS or sum(seconds) < MIN_SECONDS:
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return median(seconds)


def measure_plan(recipe: Mapping[str, Any], dataset: PackedDataset, device: torch.device) -> dict[str, Any]:
    """Train some steps at each size of the views, discard them, and compute the number of epochs.

    The recipe needs neither `epochs` nor the keys of `UNTIMED`. Returns `epochs`; `step_seconds`, one per
    stage of `progressive_resizing`; `epoch_seconds`, their mean over the whole training; `monitor_seconds`.
    Raises `TriptychError` if the minutes do not suffice for one epoch or for the warm-up, or a batch is too
    large.
    """
    if device.type == "cpu":
        keep_large_allocations()
    torch.manual_seed(0)
    recipe = {**recipe, **UNTIMED, "epochs": 1}
    simclr = SimCLR(recipe, dataset, device)
    batches = Batches(len(simclr.images), recipe, seed=0, device=device, label="simclr")
    average = WeightAverage(simclr.model, recipe["ema"])
    state = TrainState(simclr.model, make_optimizer(simclr.model, recipe), average)

    def take_step(size: int) -> None:
        step = TrainingStep(state, partial(simclr.prepare, size=size), simclr.loss, batches, recipe)
        with out_of_memory_advice(
            lambda images: step.try_size(0, 0, images),
            label="simclr",
            device=device,
            batch_size=batches.batch_size,
            accumulate=batches.accumulate,
        ):
            step(0, 0).item()  # waits for the device

    simclr.model.train()
    stages = recipe["progressive_resizing"] or [{"share": 1.0, "size": dataset.image_size[0]}]
    seconds = []
    for stage in stages:
        seconds.append(typical_seconds(partial(take_step, stage["size"])))
        log.info("views of %d pixels: %.3f s per step", stage["size"], seconds[-1])
    total = sum(stage["share"] for stage in stages)
    mean = sum(stage["share"] / total * each for stage, each in zip(stages, seconds, strict=True))
    epoch_seconds = mean * batches.steps
    monitor = Monitor(simclr.images, simclr.encoder, recipe, label="simclr")
    monitor.evaluate()
    start = time.perf_counter()
    monitor.evaluate()
    monitor_seconds = time.perf_counter() - start
    epochs = plan_epochs(
        recipe["minutes"],
        epoch_seconds=epoch_seconds,
        monitor_seconds=monitor_seconds,
        monitor_every=recipe["monitor_every"],
    )
    if epochs < recipe["warmup_epochs"]:
        raise TriptychError(
            f"simclr: {epochs} epochs fit into minutes: {recipe['minutes']:g}, fewer than warmup_epochs: "
            f"{recipe['warmup_epochs']:g}; raise the minutes or lower warmup_epochs"
        )
    log.info("%d epochs of %.1f s fit into %g minutes", epochs, epoch_seconds, recipe["minutes"])
    return {
        "epochs": epochs,
        "step_seconds": seconds,
        "epoch_seconds": epoch_seconds,
        "monitor_seconds": monitor_seconds,
    }
