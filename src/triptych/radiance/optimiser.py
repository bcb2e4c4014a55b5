"""Adam for a field, its learning rate, and the moving average that is kept."""

from copy import deepcopy
from typing import Any

import torch

from triptych.radiance.field import Field

HELD = 0.3  # share of the budget at the full learning rate


def make_optimiser(field: Field, *, learning_rate: float, weight_decay: float) -> torch.optim.Adam:
    """Adam with the constants of Müller et al. 2022 (section 4); the penalty spares the tables."""
    networks = [*field.density_network.parameters(), *field.colour_network.parameters()]
    groups: list[dict[str, Any]] = [
        {"params": list(field.grid.parameters())},
        {"params": networks, "weight_decay": weight_decay},
    ]
    return torch.optim.Adam(
        groups,
        lr=learning_rate,
        betas=(0.9, 0.99),
        eps=1e-15,
        fused=True,
    )


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
