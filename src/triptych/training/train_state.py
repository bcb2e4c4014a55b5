"""The state of a training, as a checkpoint stores it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from triptych.training.history import Row
from triptych.training.weight_average import WeightAverage


@dataclass
class TrainState:
    """A model, its optimizer and weight average, and the position of its training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage
    epoch: int = 0
    step: int = 0  # within the epoch
    loss_sum: float = 0.0  # sum over the epoch's steps so far
    seconds: float = 0.0  # wall time of the whole run, over all its resumed parts
    epoch_start: float = 0.0  # the value of `seconds` when the epoch began
    timed_seconds: float = 0.0  # total of the epoch's timed steps
    model_seconds: float = 0.0  # model compute within them
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf
    best_weights: dict[str, Tensor] | None = None  # on the CPU

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate of the next step; groups may scale it (see `make_optimizer`)."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]

    def weights(self) -> dict[str, Tensor]:
        """A copy of the model's state on the CPU, with the averaged weights if there is an average."""
        with self.average.applied():
            return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """The contents of a checkpoint; the best weights are left out if they are the current ones."""
        saved = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        saved |= {name: saved[name].state_dict() for name in ("model", "optimizer", "average")}
        return saved | ({"best_weights": None} if self._best_is_current() else {})

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Continue from what `state_dict` returned."""
        for name, value in saved.items():
            if name in ("model", "optimizer", "average"):
                getattr(self, name).load_state_dict(value)
            else:
                setattr(self, name, value)
        if self._best_is_current():
            self.best_weights = self.weights()

    def _best_is_current(self) -> bool:
        """Whether nothing was trained since the best epoch ended."""
        return self.best_epoch > 0 and self.best_epoch == self.epoch and self.step == 0

    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        values = [parameter.detach() for parameter in self.model.parameters()]
        return bool(torch.stack(torch._foreach_norm(values, math.inf)).isfinite().all())
