"""Trainings of the ball of `sphere_scene`, of seconds."""

from collections.abc import Mapping
from pathlib import Path

import torch

from triptych.config.reconstruction import Radiance
from triptych.radiance.train import TrainingResult, train
from triptych.scenes.scene import Scene
from triptych.training.checkpoint import Checkpoints

RECIPE = Radiance(
    device="cpu",
    precision="float32",
    downscale=1,
    steps=300,
    samples_per_step=8192,
    levels=6,
    features=2,
    log2_table=14,
    base_resolution=8,
    finest_resolution=64,
    occupancy_resolution=32,
    final_learning_rate=0.001,
    evaluations=0,
)


def changed(recipe: Radiance, **values: object) -> Radiance:
    return Radiance(**(recipe.model_dump() | values))


SHORT = changed(RECIPE, steps=40, samples_per_step=1024, log_every=10)


def run(
    scene: Scene, recipe: Radiance, folder: Path, checkpoints: Checkpoints | None = None
) -> TrainingResult:
    return train(
        scene,
        recipe,
        checkpoints=checkpoints or Checkpoints(folder / "checkpoints", "same", every=1e9),
        events=folder / "tensorboard",
        history=folder / "history.csv",
    )


def weights(trained: TrainingResult) -> dict[str, torch.Tensor]:
    occupancy = trained.radiance.occupancy
    grids = {"occupied": occupancy.occupied, "density_ema": occupancy.density_ema}
    return trained.radiance.field.state_dict() | grids


def assert_same(found: Mapping[str, torch.Tensor], expected: Mapping[str, torch.Tensor]) -> None:
    assert [name for name, tensor in found.items() if not torch.equal(tensor, expected[name])] == []
