"""Everything that a training changes, and how it goes into a checkpoint and comes back."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from triptych.training.history import Row
from triptych.training.weight_average import WeightAverage


@dataclass
class State:
    """Where a training stands, besides its weights."""

    epoch: int = 0
    step: int = 0  # within the epoch
    loss_sum: float = 0.0  # over the epoch's steps so far
    seconds: float = 0.0  # of the whole run, over all its resumed parts
    epoch_began: float = 0.0  # in seconds of the run
    timed_seconds: float = 0.0  # of the epoch's timed steps
    model_seconds: float = 0.0  # of model compute among them
    rows: list[Row] = field(default_factory=list)
    best_epoch: int = 0
    best_value: float = math.inf
    best_weights: dict[str, Tensor] | None = None  # on the CPU


@dataclass(frozen=True)
class Learner:
    """A model with what moves its weights."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    weights: WeightAverage

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["rate_factor"]

    def copy_of_weights(self) -> dict[str, Tensor]:
        """The model's state on the CPU, with the average weights where an average is kept."""
        with self.weights.applied():
            return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def pack(self, state: State) -> dict[str, Any]:
        """The contents of a checkpoint; the best weights are left out where they are the present ones."""
        saved = vars(state) | {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.weights.state_dict(),
        }
        if _best_is_present(state):
            saved["best_weights"] = None
        return saved

    def unpack(self, saved: dict[str, Any] | None) -> State:
        """Continue from what `pack` returned; without it, from the beginning."""
        if saved is None:
            return State()
        saved = dict(saved)
        self.model.load_state_dict(saved.pop("model"))
        self.optimizer.load_state_dict(saved.pop("optimizer"))
        self.weights.load_state_dict(saved.pop("average"))
        state = State(**saved)
        if _best_is_present(state):
            state.best_weights = self.copy_of_weights()
        return state

    def is_finite(self) -> bool:
        """Whether all weights are finite numbers."""
        values = [parameter.detach() for parameter in self.model.parameters()]
        return bool(torch.stack(torch._foreach_norm(values, math.inf)).isfinite().all())


def _best_is_present(state: State) -> bool:
    """Whether nothing was trained since the best epoch ended."""
    return state.best_epoch > 0 and state.best_epoch == state.epoch and state.step == 0
