"""Experiments on a few pictures of three colours, for tests that run them for real."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from triptych.config.self_supervision import SimCLR, Views
from triptych.config.training import LabelledTraining, Training
from triptych.data.packed import LabelledImages, save_packed
from triptych.experiments.experiment import Experiment
from triptych.workflow.job import Job

NETWORK = {"module": "triptych.models.resnet", "options": {"width": 8}}
CHANGES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 20,
    "learning_rate": 0.05,
    "weight_decay": 0.0,
    "schedule": "constant",
    "device": "cpu",
    "precision": "float32",
}
VIEWS = Views(crop_scale=(0.2, 1.0)).model_dump()
HEAD: dict[str, Any] = {"head_hidden": 32, "head_out": 16, "head_norm": True}
TRAINING = Training(**CHANGES).model_dump()
SIMCLR = SimCLR(**CHANGES, **HEAD, views=VIEWS, monitor_every=1).model_dump() | {"architecture": NETWORK}
PROBE = {**TRAINING, "architecture": NETWORK, "validation": 20}
CLASSIFIER = LabelledTraining(**CHANGES, label_smoothing=0.1).model_dump() | {
    "architecture": NETWORK,
    "base_augmentation": {"padding": 2, "flip": 0.5, "degrees": 15},
    "augmentation": {"method": "cutmix", "alpha": 0.4, "probability": 0.5, "size": 4},
    "validation": 20,
}


def save_colours(folder: Path) -> Path:
    """Three classes that differ in their mean colour: even two epochs learn something."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 3
        images = rng.integers(0, 120, (n, 16, 16, 3))
        images[np.arange(n), :, :, labels] += 100
        return images.astype(np.uint8), labels.astype(np.int64)

    arrays = LabelledImages(*draw(120), *draw(30), classes=("red", "green", "blue"), source={"kind": "test"})
    save_packed(folder, arrays, name="colours", provenance={})
    return folder


def experiment(folder: Path, data: Path, recipe: dict[str, Any], seed: int = 0) -> Experiment:
    return Experiment(
        label="test",
        data=str(data),
        recipe=recipe,
        seed=seed,
        folder=folder,
        checkpoints=folder / "checkpoints",
        test_outcomes=folder / "outcomes" / "run.json",
        checkpoint_minutes=5,
        running=Job([]),
    )


def metrics(folder: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return record
