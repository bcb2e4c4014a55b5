"""Optimizers by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn


def make_optimizer(model: nn.Module, recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Build `recipe["optimizer"]`: `sgd` (Nesterov if asked), `adam` (L2) or `adamw` (decoupled).

    The learning rate is set anew at each step, see `schedule`.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    rate, decay = recipe["learning_rate"], recipe["weight_decay"]
    if recipe["optimizer"] == "sgd":
        momentum, nesterov = recipe["momentum"], recipe["nesterov"]
        return torch.optim.SGD(parameters, rate, momentum=momentum, weight_decay=decay, nesterov=nesterov)
    if recipe["optimizer"] == "adam":
        return torch.optim.Adam(parameters, rate, weight_decay=decay)
    return torch.optim.AdamW(parameters, rate, weight_decay=decay)
