"""Networks and gradients for tests of optimizers."""

from typing import Any

import torch
from torch import nn
from toy_training import RECIPE

from triptych.models import vit
from triptych.models.resnet import build


def recipe(**changes: Any) -> dict[str, Any]:
    return {**RECIPE, **changes}


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Steps with gradients that depend on the step and the parameter only."""
    for step in steps:
        for number, parameter in enumerate(model.parameters()):
            generator = torch.Generator().manual_seed(1000 * step + number)
            # In the layout that backward gives it: the parameter's own.
            parameter.grad = torch.empty_like(parameter).normal_(generator=generator)
        optimizer.step()


def convolutional() -> nn.Module:
    torch.manual_seed(0)
    return build(10, 32, width=8).to(memory_format=torch.channels_last)


def transformer() -> nn.Module:
    torch.manual_seed(0)
    return vit.build(10, 32, patch=8, dim=16, depth=2, heads=2, mlp=16)
