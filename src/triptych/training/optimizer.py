"""Optimizers by name."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from triptych.training.lars import LARS
from triptych.training.muon import Muon
from triptych.training.parameter_groups import additive, hidden
from triptych.workflow.devices import describe_precision
from triptych.workflow.errors import TriptychError


def make_optimizer(model: nn.Module, recipe: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Build `recipe["optimizer"]` for the parameters of `model` that are trained.

    - `sgd`: with `momentum`, `nesterov` if asked.
    - `adam`: weight decay added to the gradient. `adamw`: decoupled.
    - `lars`: SGD with rates by layer for large batches; biases, norms and embeddings are neither adapted
      nor decayed.
    - `muon`: orthogonal steps for the hidden layers; the first layer, the last one, norms, biases and
      embeddings go by AdamW at `adam_learning_rate` or, where that is None, by Nesterov SGD.

    Which is which: `triptych.training.parameter_groups`. In each step a group's rate is the schedule's times
    its `rate_factor`.

    Args:
        model: on its device, which decides the implementation.
        recipe: `optimizer`, `learning_rate`, `weight_decay`, `decay_biases` (whether `weight_decay`
            applies to biases, norms and embeddings), `momentum`, `nesterov`, `adam_learning_rate`,
            `precision`.

    Raises:
        TriptychError: muon is asked for a model without hidden layers.
    """
    name, rate, decay = recipe["optimizer"], recipe["learning_rate"], recipe["weight_decay"]
    momentum, nesterov = recipe["momentum"], recipe["nesterov"]
    named = {key: value for key, value in model.named_parameters() if value.requires_grad}
    device = next(iter(named.values())).device
    # One pass over the memory instead of several: 1.5 to 2 times as fast on the CPU, too.
    fused = True if device.type in ("cpu", "cuda") else None
    inner = hidden(model) if name == "muon" else set()
    added = additive(model)
    groups = []
    for matrices, biases in ((True, False), (False, False), (False, True)):
        members = [p for key, p in named.items() if (key in inner) == matrices and (key in added) == biases]
        exempt = biases and (name == "lars" or not recipe["decay_biases"])
        group: dict[str, Any] = {"params": members, "weight_decay": 0.0 if exempt else decay}
        group["rate_factor"] = 1.0
        if name == "muon":
            group["matrices"] = matrices
            adam_rate = recipe["adam_learning_rate"]
            if not matrices and adam_rate is not None:
                group |= {"adam": True, "rate_factor": adam_rate / rate}
        if name == "lars":
            group["adapt"] = not biases
        if members:
            groups.append(group)
    if name == "sgd":
        return torch.optim.SGD(groups, rate, momentum=momentum, nesterov=nesterov, fused=fused)
    if name == "adam":
        return torch.optim.Adam(groups, rate, fused=fused)
    if name == "adamw":
        return torch.optim.AdamW(groups, rate, fused=fused)
    if name == "lars":
        return LARS(groups, lr=rate, momentum=momentum, nesterov=nesterov)
    if not inner:
        raise TriptychError("optimizer muon needs a model with a hidden layer; take sgd or adamw")
    fast = describe_precision(device, recipe["precision"]) == "bfloat16"
    return Muon(groups, lr=rate, momentum=momentum, dtype=torch.bfloat16 if fast else torch.float32)
