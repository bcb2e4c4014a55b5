"""Recipes that benchmarks write out themselves are complete: hours in, a missing key would end them."""

from typing import Any

import pytest
from benchmarks import simclr, vit_recipe
from torch import nn

from triptych.training.optimizer import make_optimizer
from triptych.training.schedule import learning_rate

RECIPES: dict[str, dict[str, Any]] = {
    **{f"simclr {name}": simclr.BASE | changes for name, changes in simclr.VARIANTS.items()},
    **{f"vit {name}": vit_recipe.varied(changes) for name, changes in vit_recipe.VARIANTS.items()},
}


@pytest.mark.parametrize("name", RECIPES)
def test_an_optimizer_and_its_schedule_can_be_made(name: str) -> None:
    recipe = RECIPES[name]
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Flatten(), nn.Linear(8, 2))
    make_optimizer(model, recipe)
    assert learning_rate(recipe, 1, steps_per_epoch=100) > 0
