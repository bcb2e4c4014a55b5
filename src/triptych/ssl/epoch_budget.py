"""How many epochs of SimCLR fit into a number of minutes on this machine.

The schedule is laid out over measured speed before the training begins. The training itself then knows
epochs only, so it is as repeatable as any other: a slower machine gives a shorter plan, not another
result of the same one.
"""

import logging
import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import Any

import torch

from triptych.data.packed import PackedDataset
from triptych.ssl.knn import KnnMonitor
from triptych.ssl.simclr import Pretraining
from triptych.training.allocator import keep_large_allocations
from triptych.training.batch import Batch
from triptych.training.optimizer import make_optimizer
from triptych.training.out_of_memory import explained
from triptych.training.state import Learner
from triptych.training.step import Step
from triptych.training.stopwatch import Stopwatch
from triptych.training.weight_average import WeightAverage
from triptych.workflow.errors import TriptychError
from triptych.workflow.seeds import torch_generator

log = logging.getLogger("triptych")

WARM_UP = 3  # steps that are not counted: kernels are compiled, memory is fetched
LEAST_SECONDS, LEAST_STEPS = 10.0, 5  # of a measurement
# What a step's time does not depend on; a plan measured with these stands when the recipe's change.
UNTIMED = {"learning_rate": 1e-3, "weight_decay": 0.0, "temperature": 0.5}


def plan_epochs(minutes: float, *, epoch_seconds: float, monitor_seconds: float, monitor_every: int) -> int:
    """Epochs that take at most `minutes`, with a look at the neighbours every `monitor_every` of them.

    Raises:
        TriptychError: not even one fits.
    """
    each = epoch_seconds + monitor_seconds / monitor_every
    epochs = int((60 * minutes - monitor_seconds) / each)  # there is always a look at the end
    if epochs < 1:
        raise TriptychError(
            f"simclr: one epoch takes about {(epoch_seconds + monitor_seconds) / 60:.1f} minutes here, more "
            f"than minutes: {minutes:g}; raise it, or use smaller views or fewer images"
        )
    return epochs


def typical_seconds(step: Callable[[], None]) -> float:
    """Median seconds of `step`, once warm: other work on the machine disturbs a mean."""
    for _ in range(WARM_UP):
        step()
    seconds: list[float] = []
    while len(seconds) < LEAST_STEPS or sum(seconds) < LEAST_SECONDS:
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def measure_plan(recipe: Mapping[str, Any], dataset: PackedDataset, device: torch.device) -> dict[str, Any]:
    """Train some steps of each stage of `recipe`, throw them away, and lay out the epochs.

    Args:
        recipe: of the pretraining; `UNTIMED` is neither needed nor read.
        dataset: its training images are drawn from.
        device: whose speed counts.

    Returns:
        `epochs`; `step_seconds`, one for each stage; `epoch_seconds`, their mean over the whole training;
        `monitor_seconds`.

    Raises:
        TriptychError: the minutes do not suffice for one epoch or for the warm-up, or the batch is larger
            than the data or the memory.
    """
    if device.type == "cpu":
        keep_large_allocations()
    torch.manual_seed(0)
    recipe = {**recipe, **UNTIMED}
    training = Pretraining(recipe, dataset, device)
    if recipe["batch_size"] > len(training.images):
        raise TriptychError(
            f"simclr: batch_size is {recipe['batch_size']} but there are only {len(training.images)} "
            "training images; lower batch_size"
        )
    weights = WeightAverage(training.model, recipe["ema"])
    learner = Learner(training.model, make_optimizer(training.model, recipe), weights)
    generator = torch_generator(device, "budget")

    def step(size: int) -> None:
        learning = Step(
            learner,
            lambda batch: training.draw(batch, size),
            training.loss_of,
            clip_norm=recipe["clip_norm"],
            device=device,
            precision=recipe["precision"],
            watch=Stopwatch(device, 1),
        )
        indices = torch.randint(len(training.images), (recipe["batch_size"],))
        pieces = [Batch(own, generator, 0.0) for own in indices.tensor_split(recipe["accumulate"])]
        with explained(
            lambda fewer: learning.try_size(pieces[0], fewer),
            label="simclr",
            device=device,
            batch_size=len(indices),
            accumulate=len(pieces),
        ):
            loss = learning(((piece, len(piece.indices) / len(indices)) for piece in pieces), 0)
            loss.item()  # waits for the device

    stages = recipe["progressive_resizing"] or [{"share": 1.0, "size": dataset.image_size[0]}]
    seconds = []
    for stage in stages:
        seconds.append(typical_seconds(partial(step, stage["size"])))
        log.info("views of %d pixels: %.3f s a step", stage["size"], seconds[-1])
    whole = sum(stage["share"] for stage in stages)
    mean = sum(stage["share"] / whole * each for stage, each in zip(stages, seconds, strict=True))
    epoch_seconds = mean * (len(training.images) // recipe["batch_size"])
    monitor = KnnMonitor(training.images, training.encoder, precision=recipe["precision"])
    monitor()
    began = time.perf_counter()
    monitor()
    monitor_seconds = time.perf_counter() - began
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
