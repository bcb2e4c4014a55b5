"""The optimizers of a field, its learning rate schedule, and its moving average."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from triptych.radiance.field import Field

Compiled = Callable[..., None]

BETAS = (0.9, 0.99)
EPSILON = 1e-15
CONSTANT_FRACTION = 0.6  # fraction of the budget at the initial learning rate
AVERAGE_EVERY = 8  # steps; each update of the moving average reads all tables
SETTLED = 4096  # steps of a row from which its bias correction is 1


def learning_rate_at(progress: float, *, initial: float, final: float) -> float:
    """Constant for the first part of the budget, then exponential decay to `final`."""
    decayed = max(0.0, progress - CONSTANT_FRACTION) / (1 - CONSTANT_FRACTION)
    return float(initial * (final / initial) ** decayed)


def bias_corrections(steps: Tensor) -> Tensor:
    """Factor on Adam's learning rate in step 1, 2, … (Kingma and Ba 2015, section 2)."""
    return (1 - BETAS[1] ** steps).sqrt() / (1 - BETAS[0] ** steps)


class TableAdam(torch.optim.Optimizer):
    """Lazy Adam (Kingma and Ba 2015) for hash tables (rows, features): only rows with a gradient are updated.

    A step touches a small part of a table. If the other rows followed their momentum, as in ordinary Adam, a
    single gradient would move its row many times. Each row counts its own steps for the bias correction, so
    that its first update has full length. `compiled` is a CPU implementation, which also clears the
    gradients; None: plain PyTorch.
    """

    def __init__(self, tables: Iterable[nn.Parameter], *, compiled: Compiled | None = None) -> None:
        super().__init__(tables, {"lr": 0.0, "lr_scale": 1.0})
        self.compiled, self._cleared = compiled, False
        self._corrections = bias_corrections(torch.arange(SETTLED, dtype=torch.float64).clamp(min=1))
        for table in self.param_groups[0]["params"]:
            self.state[table] = {
                "first": torch.zeros_like(table),
                "second": torch.zeros_like(table),
                "count": torch.zeros_like(table[:, :1]),
            }

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Apply the tables' gradients."""
        group = self.param_groups[0]
        rates = (1 - BETAS[0], 1 - BETAS[1], EPSILON)
        for table in group["params"]:
            if table.grad is None:
                continue
            state = self.state[table]
            if self.compiled is not None:
                self.compiled(table, **state, learning_rates=group["lr"] * self._corrections, rates=rates)
                self._cleared = True
            else:
                self._step(table, **state, learning_rate=group["lr"])

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clear the gradients, unless the compiled `step` just did: it keeps their memory in use."""
        if not self._cleared:
            super().zero_grad(set_to_none)
        self._cleared = False

    @staticmethod
    def _step(table: Tensor, first: Tensor, second: Tensor, count: Tensor, learning_rate: float) -> None:
        gradient = table.grad
        assert gradient is not None
        touched = (gradient != 0).any(dim=1, keepdim=True).to(gradient.dtype)
        count += touched
        first.lerp_(gradient, touched * (1 - BETAS[0]))
        second.lerp_(gradient * gradient, touched * (1 - BETAS[1]))
        rate = touched * learning_rate * bias_corrections(count.clamp(min=1))
        table.sub_(first.div(second.sqrt().add_(EPSILON)).mul_(rate))


def field_optimizers(
    field: Field, *, weight_decay: float, compiled: Compiled | None
) -> list[torch.optim.Optimizer]:
    """Adam with the constants of Müller et al. 2022 (section 4): one for the tables, one for the networks.

    The weight decay is an L2 penalty on the networks; `compiled`: see `TableAdam`.
    """
    tables = list(field.grid.tables)
    table_ids = {id(table) for table in tables}
    networks = [{"params": [p for p in field.parameters() if id(p) not in table_ids], "lr_scale": 1.0}]
    return [
        TableAdam(tables, compiled=compiled),
        torch.optim.Adam(networks, betas=BETAS, eps=EPSILON, weight_decay=weight_decay, fused=True),
    ]


def moving_average(field: Field, decay: float) -> AveragedModel:
    """An exponential moving average of the field's parameters, to be updated every `AVERAGE_EVERY` steps.

    `decay` is that of one step. The first update copies the field, so the random initial values do not count.
    """
    average = AveragedModel(field, multi_avg_fn=get_ema_multi_avg_fn(decay**AVERAGE_EVERY))
    average.requires_grad_(False)
    return average
