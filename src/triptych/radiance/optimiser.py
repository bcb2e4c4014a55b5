"""Adam for a field, its learning rate, and the moving average that is kept."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from triptych.radiance.field import Field

BETAS = (0.9, 0.99)
EPSILON = 1e-15
HELD = 0.6  # share of the budget at the full learning rate


class TableAdam:
    """Adam (Kingma and Ba 2015) in which a table's row only takes part when it got a gradient.

    A step reaches a small part of a hash table. Were the other rows to follow their momentum,
    as in ordinary Adam, then one rare gradient would move its row ten times over. Each row
    counts its own steps for the bias correction, so its first one is a full step.
    """

    def __init__(self, tables: Iterable[nn.Parameter]) -> None:
        self.tables = list(tables)
        self.first = [torch.zeros_like(table) for table in self.tables]
        self.second = [torch.zeros_like(table) for table in self.tables]
        self.count = [torch.zeros_like(table[:, :1]) for table in self.tables]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Apply the tables' gradients."""
        for table, first, second, count in zip(self.tables, self.first, self.second, self.count, strict=True):
            gradient = table.grad
            if gradient is None:
                continue
            touched = (gradient != 0).any(dim=1, keepdim=True).to(gradient.dtype)
            count += touched
            first.lerp_(gradient, touched * (1 - BETAS[0]))
            second.lerp_(gradient * gradient, touched * (1 - BETAS[1]))
            steps = count.clamp(min=1)
            size = touched * learning_rate * (1 - BETAS[1] ** steps).sqrt_() / (1 - BETAS[0] ** steps)
            table.sub_(first.div(second.sqrt().add_(EPSILON)).mul_(size))

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Moments and counts."""
        return {"first": self.first, "second": self.second, "count": self.count}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Take over what `state_dict` gave."""
        for name, tensors in self.state_dict().items():
            for mine, saved in zip(tensors, state[name], strict=True):
                mine.copy_(saved)


class Optimiser:
    """Adam with the constants of Müller et al. 2022 (section 4): one for the tables, one for the networks.

    Args:
        field: what is trained.
        weight_decay: l2 penalty, on the networks only.
    """

    def __init__(self, field: Field, *, weight_decay: float) -> None:
        self.tables = TableAdam(field.grid.tables)
        networks = [*field.density_network.parameters(), *field.colour_network.parameters()]
        self.networks = torch.optim.Adam(
            networks, betas=BETAS, eps=EPSILON, weight_decay=weight_decay, fused=True
        )
        self._parameters = [*self.tables.tables, *networks]

    def step(self, learning_rate: float) -> None:
        """Apply the gradients, and clear them."""
        self.tables.step(learning_rate)
        self.networks.param_groups[0]["lr"] = learning_rate
        self.networks.step()
        for parameter in self._parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """Moments and counts of both."""
        return {"tables": self.tables.state_dict(), "networks": self.networks.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.tables.load_state_dict(state["tables"])
        self.networks.load_state_dict(state["networks"])


def learning_rate_at(progress: float, *, initial: float, final: float) -> float:
    """Constant for the first part of the budget, then decaying exponentially to `final`."""
    share = max(0.0, progress - HELD) / (1 - HELD)
    return float(initial * (final / initial) ** share)


class MovingAverage:
    """Exponential moving average of a field's parameters, itself a field ready to render."""

    def __init__(self, field: Field, decay: float) -> None:
        self.decay = decay
        self.field = deepcopy(field).requires_grad_(False)
        self._pairs = list(zip(self.field.parameters(), field.parameters(), strict=True))

    @torch.no_grad()
    def update(self) -> None:
        """Move every average towards its parameter."""
        averages, values = zip(*self._pairs, strict=True)
        torch._foreach_lerp_(averages, [value.detach() for value in values], 1 - self.decay)
