"""Adam for a field, its learning rate, and the moving average that is kept."""

from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from triptych.radiance.field import Field, runs_on_kernels

BETAS = (0.9, 0.99)
EPSILON = 1e-15
HELD = 0.6  # share of the budget at the full learning rate
AVERAGE_EVERY = 8  # steps between two samples of the moving average: reading all tables takes its time
SETTLED = 4096  # steps of a row after which its bias correction is 1


def bias_corrections(steps: Tensor) -> Tensor:
    """What Adam's learning rate is multiplied by in step 1, 2, … (Kingma and Ba 2015, section 2)."""
    return (1 - BETAS[1] ** steps).sqrt() / (1 - BETAS[0] ** steps)


class TableAdam:
    """Adam (Kingma and Ba 2015) in which a table's row only takes part when it got a gradient.

    A step reaches a small part of a hash table. Were the other rows to follow their momentum,
    as in ordinary Adam, then one rare gradient would move its row ten times over. Each row
    counts its own steps for the bias correction, so its first one is a full step.

    Args:
        tables: (rows, features) parameters.
        kernels: whether to use the CPU kernel instead of tensor operations.
    """

    def __init__(self, tables: Iterable[nn.Parameter], *, kernels: bool) -> None:
        self.tables, self.kernels = list(tables), kernels
        self.first = [torch.zeros_like(table) for table in self.tables]
        self.second = [torch.zeros_like(table) for table in self.tables]
        self.count = [torch.zeros_like(table[:, :1]) for table in self.tables]
        self._corrections = bias_corrections(torch.arange(SETTLED, dtype=torch.float64).clamp(min=1))

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Apply the tables' gradients, and clear them."""
        for state in zip(self.tables, self.first, self.second, self.count, strict=True):
            if state[0].grad is None:
                continue
            if self.kernels:
                self._step_by_kernel(*state, learning_rate)
            else:
                self._step(*state, learning_rate)

    def _step(
        self, table: Tensor, first: Tensor, second: Tensor, count: Tensor, learning_rate: float
    ) -> None:
        gradient = table.grad
        assert gradient is not None
        touched = (gradient != 0).any(dim=1, keepdim=True).to(gradient.dtype)
        count += touched
        first.lerp_(gradient, touched * (1 - BETAS[0]))
        second.lerp_(gradient * gradient, touched * (1 - BETAS[1]))
        size = touched * learning_rate * bias_corrections(count.clamp(min=1))
        table.sub_(first.div(second.sqrt().add_(EPSILON)).mul_(size))
        table.grad = None

    def _step_by_kernel(
        self, table: Tensor, first: Tensor, second: Tensor, count: Tensor, learning_rate: float
    ) -> None:
        from triptych.kernels.compiler.threads import parallel
        from triptych.kernels.radiance import adam

        assert table.grad is not None
        sizes = (learning_rate * self._corrections).float().numpy()
        rates = tuple(np.float32(rate) for rate in (1 - BETAS[0], 1 - BETAS[1], EPSILON))
        arrays = [tensor.numpy() for tensor in (table, table.grad, first, second, count)]
        parallel(adam.adam, -(-len(table) // adam.ROWS), *arrays, sizes, rates, (0,) * table.shape[1])

    def state_dict(self) -> dict[str, list[Tensor]]:
        """Moments and counts."""
        return {"first": self.first, "second": self.second, "count": self.count}

    def load_state_dict(self, state: dict[str, list[Tensor]]) -> None:
        """Take over what `state_dict` gave."""
        for name, tensors in self.state_dict().items():
            for mine, saved in zip(tensors, state[name], strict=True):
                mine.copy_(saved)


class Optimizer:
    """Adam with the constants of Müller et al. 2022 (section 4): one for the tables, one for the networks.

    Args:
        field: what is trained.
        weight_decay: l2 penalty, on the networks only.
    """

    def __init__(self, field: Field, *, weight_decay: float) -> None:
        self.tables = TableAdam(field.grid.tables, kernels=runs_on_kernels(field))
        tables = {id(table) for table in self.tables.tables}
        networks = [parameter for parameter in field.parameters() if id(parameter) not in tables]
        self.networks = torch.optim.Adam(
            networks, betas=BETAS, eps=EPSILON, weight_decay=weight_decay, fused=True
        )

    def step(self, learning_rate: float) -> None:
        """Apply the gradients, and clear them."""
        self.tables.step(learning_rate)
        self.networks.param_groups[0]["lr"] = learning_rate
        self.networks.step()
        self.networks.zero_grad(set_to_none=True)

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
    """Exponential moving average of a field's parameters, itself a field ready to render.

    Args:
        field: what is averaged.
        decay: a step's; it is applied to the power of 8 at every eighth step. At the first step the
            average becomes the field itself, so that nothing of its random beginning stays.
    """

    def __init__(self, field: Field, decay: float) -> None:
        self.decay = decay**AVERAGE_EVERY
        self.field = deepcopy(field).requires_grad_(False)
        self._pairs = list(zip(self.field.parameters(), field.parameters(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move every average towards its parameter, if it is the turn of this step."""
        if step % AVERAGE_EVERY == 0:
            averages, values = zip(*self._pairs, strict=True)
            share = 1 - self.decay if step > 0 else 1.0
            torch._foreach_lerp_(averages, [value.detach() for value in values], share)
