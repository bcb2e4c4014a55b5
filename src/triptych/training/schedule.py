"""Learning rates as pure functions of the optimizer step."""

import math
from collections.abc import Mapping
from typing import Any


def learning_rate(recipe: Mapping[str, Any], step: int, steps_per_epoch: int) -> float:
    """Learning rate of one optimizer step, counted from 0.

    The recipe has `learning_rate`, `epochs`, `warmup_epochs` (linear, from zero to `warmup_peak` times the
    rate) and `schedule`: `constant`; `cosine` and `one_cycle` (linear; Smith & Topin 2018) down to
    `min_lr_ratio` times the rate after `schedule_epochs` (None: `epochs`); `step`, which multiplies by
    `gamma` at the start of each epoch of `milestones` (counted from 0).
    """
    base: float = recipe["learning_rate"]
    epoch = step / steps_per_epoch
    warmup: float = recipe["warmup_epochs"]
    if epoch < warmup:
        return base * recipe["warmup_peak"] * (step + 1) / (warmup * steps_per_epoch + 1)
    if recipe["schedule"] in ("cosine", "one_cycle"):
        end: float = recipe["schedule_epochs"] or recipe["epochs"]
        progress = min((epoch - warmup) / max(end - warmup, 1e-9), 1.0)
        remaining = (
            1 - progress if recipe["schedule"] == "one_cycle" else 0.5 * (1 + math.cos(math.pi * progress))
        )
        final: float = recipe["min_lr_ratio"]
        return base * (final + (1 - final) * remaining)
    if recipe["schedule"] == "step":
        return base * float(recipe["gamma"] ** sum(epoch >= milestone for milestone in recipe["milestones"]))
    return base
