"""LARS: SGD whose steps are, for each layer, proportional to the norm of the layer's weights."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch

TRUST = 0.001  # a layer's step at a learning rate of 1, relative to the norm of its weights


class LARS(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You et al. 2017), in the form that SimCLR trains with.

    For a layer with weights w and gradient g (with weight decay: g + decay * w), and with the trust ratio r =
    TRUST * |w| / |g|, or 1 if a norm is zero or its group has `adapt: False` (biases and norms):

        v <- momentum * v + lr * r * g;  w <- w - v  (Nesterov: w - (momentum * v + lr * r * g))
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "nesterov": nesterov}
        super().__init__([dict(group) for group in groups], {**defaults, "adapt": True})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            gradients = torch._foreach_add(
                [p.grad for p in parameters], parameters, alpha=group["weight_decay"]
            )
            if group["adapt"]:
                weight_norms = torch.stack(torch._foreach_norm(parameters))
                gradient_norms = torch.stack(torch._foreach_norm(gradients))
                usable = (weight_norms > 0) & (gradient_norms > 0)
                ratios = torch.where(usable, TRUST * weight_norms / gradient_norms, 1.0)
                torch._foreach_mul_(gradients, ratios.unbind())
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["velocity"] = torch.zeros_like(parameter)
            velocities = [self.state[p]["velocity"] for p in parameters]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, gradients, alpha=group["lr"])
            if group["nesterov"]:
                torch._foreach_add_(parameters, velocities, alpha=-group["momentum"])
                torch._foreach_add_(parameters, gradients, alpha=-group["lr"])
            else:
                torch._foreach_sub_(parameters, velocities)
