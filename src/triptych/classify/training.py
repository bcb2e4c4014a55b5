"""Trainings of the first two parts: an experiment handed to the engine, in one process or several."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from triptych.classify.experiment import Experiment
from triptych.data.packed import PackedDataset
from triptych.training import engine
from triptych.training.checkpoint import Checkpoints
from triptych.training.engine import Batch, Fitted, Inputs
from triptych.training.history import Row
from triptych.training.workers import run_workers
from triptych.workflow.devices import describe_precision
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value
from triptych.workflow.provenance import describe_hardware


def run_training(function: Callable[..., None], experiment: Experiment, *arguments: Any) -> None:
    """Call `function(experiment, *arguments)`, in as many workers as the recipe's `gpus` says.

    Each worker trains on its share of every batch; all but worker 0 must return after `fit`.

    Raises:
        TriptychError: the recipe names one device for several workers; see also `run_workers`.
    """
    workers, kind = experiment.recipe["gpus"], "cpu"
    if workers > 1:
        kind = experiment.device.type
        if experiment.device.index is not None:
            raise TriptychError(
                f"{experiment.label}: gpus is {workers} but device '{experiment.device}' is a single one; "
                f"set device: {kind}"
            )
    run_workers(function, (experiment, *arguments), workers=workers, device_type=kind)


def open_checkpoints(experiment: Experiment, dataset: PackedDataset, **more: str) -> Checkpoints:
    """Checkpoints that fit this recipe, seed, data and version of the code only.

    `more` names further inputs by their digests (a probe's encoder).
    """
    fingerprint = digest_of_value(
        {
            "recipe": experiment.recipe,
            "seed": experiment.seed,
            "data": dataset.digest,
            "code": experiment.running.code_digest,
            "torch": torch.__version__,
            **more,
        }
    )
    return Checkpoints(
        experiment.checkpoints,
        fingerprint,
        every=60 * experiment.checkpoint_minutes,
        conditions=_conditions(experiment),
    )


def _conditions(experiment: Experiment) -> str:
    """`bfloat16 on 2 threads of <CPU>`, or on one of its GPUs: what may differ where a run goes on."""
    device = experiment.device
    hardware = describe_hardware(device=device.type)
    where = hardware.get("gpu", device.type)
    if device.type == "cpu":
        where = f"{hardware['threads']} threads of {hardware['cpu']}"
    return f"{describe_precision(device, experiment.recipe['precision'])} on {where}"


def fit(
    experiment: Experiment,
    model: nn.Module,
    prepare: Callable[[Batch], Inputs],
    loss_of: Callable[[Inputs], Tensor],
    *,
    size: int,
    checkpoints: Checkpoints,
    evaluate: Callable[[], Row] | None = None,
    evaluate_every: int = 1,
    select: str | None = None,
    look_at_loss: Callable[[float], None] | None = None,
    cost: Callable[[int], float] | None = None,
) -> Fitted:
    """Train `model` by the experiment's recipe and seed, with its curves in the folder; see `engine.fit`."""
    return engine.fit(
        model,
        prepare,
        loss_of,
        size=size,
        recipe=experiment.recipe,
        seed=experiment.seed,
        device=experiment.device,
        label=experiment.label,
        checkpoints=checkpoints,
        events=experiment.folder / "tensorboard",
        history=experiment.folder / "history.csv",
        evaluate=evaluate,
        evaluate_every=evaluate_every,
        select=select,
        look_at_loss=look_at_loss,
        cost=cost,
    )
