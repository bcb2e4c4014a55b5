"""A cell of the grid with everything that is random in it: killed and resumed, it gives the same bits."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from colour_experiments import CLASSIFIER, experiment, save_colours
from torch import nn
from toy_training import same

from triptych.classify import classifier
from triptych.classify.classifier import train_classifier
from triptych.experiments.experiment import load_weights, save_weights
from triptych.workflow.errors import TriptychError

RECIPE = {
    **CLASSIFIER,
    "architecture": {
        "module": "triptych.models.vit",
        "options": {"dim": 16, "depth": 2, "heads": 2, "mlp": 16, "dropout": 0.1, "stochastic_depth": 0.5},
    },
    "augmentation": {
        "method": "cutmix",
        "alpha": 1.0,
        "probability": 0.5,
        "rand_augment": {"operations": 2, "magnitude": 9},
        "random_erasing": {"probability": 0.25},
    },
    "optimizer": "adamw",
    "learning_rate": 0.001,
    "clip_norm": 1.0,
    "ema": 0.99,
    "decay_biases": False,
    "epochs": 2,
}

RESNET = {
    "architecture": {"module": "triptych.models.resnet", "options": {"width": 16}},
    "precision": "bfloat16",
    "optimizer": "muon",
    "learning_rate": 0.02,
    "momentum": 0.95,
    "batch_size": 50,
}


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_colours(tmp_path_factory.mktemp("data"))


@pytest.fixture
def threads(request: pytest.FixtureRequest) -> Iterator[None]:
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(1)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize(
    ("changes", "threads"),
    [
        ({"augmentation": {**RECIPE["augmentation"], "method": "mixup"}}, 1),
        ({"augmentation": {**RECIPE["augmentation"], "method": "cutmix"}}, 1),
        (RESNET, 2),
    ],
    indirect=["threads"],
)
def test_a_cell_killed_between_epochs_and_resumed_gives_the_same_bits(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    recipe = {**RECIPE, **changes}
    straight = experiment(tmp_path / "straight", data, recipe)
    train_classifier(straight)
    evaluate, calls = classifier.evaluate, 0

    def once(*arguments: Any, **options: Any) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Killed
        return evaluate(*arguments, **options)

    monkeypatch.setattr(classifier, "evaluate", once)
    killed = replace(experiment(tmp_path / "killed", data, recipe), checkpoint_minutes=0.0)
    with pytest.raises(Killed):
        train_classifier(killed)
    assert list(killed.checkpoints.glob("step-*.pt"))
    train_classifier(killed)
    weights = [one.folder / "model.safetensors" for one in (straight, killed)]
    assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_missing_augmentation_module_is_an_error_before_training(tmp_path: Path, data: Path) -> None:
    recipe = {**RECIPE, "augmentation": {"module": "nowhere", "options": {}}}
    with pytest.raises(TriptychError, match="augmentation module 'nowhere': No module named"):
        train_classifier(experiment(tmp_path, data, recipe))


def test_layers_that_share_weights_are_saved_and_loaded(tmp_path: Path) -> None:
    def tied() -> nn.Module:
        layers = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        layers[1].weight = layers[0].weight
        return layers

    saved, loaded = tied(), tied()
    save_weights(saved, tmp_path / "model.safetensors")
    load_weights(loaded, tmp_path / "model.safetensors")
    assert same(saved, loaded)
