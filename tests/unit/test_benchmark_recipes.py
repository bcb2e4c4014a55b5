"""Benchmarks start: hours in, a missing key of a recipe would end them."""

from typing import Any

import pytest
import torch
from benchmarks import _recipes, engine, layers, simclr, vit_recipe
from torch import nn

from triptych.training.optimizer import make_optimizer
from triptych.training.schedule import learning_rate

RECIPES: dict[str, dict[str, Any]] = {
    **{
        f"simclr {name}": _recipes.simclr_recipe(**simclr.BASE | changes)
        for name, changes in simclr.VARIANTS.items()
    },
    **{f"vit {name}": vit_recipe.varied(changes) for name, changes in vit_recipe.VARIANTS.items()},
}


@pytest.mark.parametrize("name", RECIPES)
def test_an_optimizer_and_its_schedule_can_be_made(name: str) -> None:
    recipe = RECIPES[name]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    make_optimizer(model, recipe)
    assert learning_rate(recipe, 1, steps_per_epoch=100) > 0


def test_the_engine_takes_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "IMAGES", 4)
    monkeypatch.setattr(engine, "RECIPE", engine.RECIPE | {"batch_size": 2})
    assert engine.Engine(torch.device("cpu"), "float32", torch.contiguous_format).seconds(1) > 0


def test_the_products_of_a_layer_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = layers.batched_gemm
    monkeypatch.setitem(layers.IMAGES, backend, 2)
    kernels, pytorch = layers.convolution(torch.float32, backend, 8, 8, 2, 1)
    torch.testing.assert_close(kernels[0](), pytorch[0](), rtol=1e-4, atol=1e-4)
