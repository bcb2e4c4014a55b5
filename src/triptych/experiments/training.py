"""Workers and checkpoints of an experiment's training."""

from collections.abc import Callable
from typing import Any

import torch

from triptych.data.packed import PackedDataset
from triptych.experiments.experiment import Experiment
from triptych.training.checkpoint import Checkpoints
from triptych.training.workers import run_workers
from triptych.workflow.devices import describe_conditions
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value


def run_training(function: Callable[..., None], experiment: Experiment, *arguments: Any) -> None:
    """Call `function(experiment, *arguments)` in as many workers as the recipe's `gpus` says.

    Each worker trains on its shard of every batch; all but worker 0 must return after `fit`.
    Raises `TriptychError` if the recipe names one device for several workers; see also `run_workers`.
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


def open_checkpoints(experiment: Experiment, dataset: PackedDataset, **inputs: str) -> Checkpoints:
    """Checkpoints that are valid for this recipe, seed, data and version of the code only.

    `inputs` are the digests of further inputs, by name: an evaluation's encoder, for example.
    """
    fingerprint = digest_of_value(
        {
            "recipe": experiment.recipe,
            "seed": experiment.seed,
            "data": dataset.digest,
            "code": experiment.running.code_digest,
            "torch": torch.__version__,
            **inputs,
        }
    )
    return Checkpoints(
        experiment.checkpoints,
        fingerprint,
        every=60 * experiment.checkpoint_minutes,
        conditions=describe_conditions(experiment.device, experiment.recipe["precision"]),
    )
