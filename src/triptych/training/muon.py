"""Muon: momentum with orthogonalised steps, so that all directions of a matrix learn at the same rate.

Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

# The authors' coefficients, whose polynomial is steepest at zero: singular values end between about 0.7
# and 1.2 instead of at 1, which does not matter to training.
LINEAR, CUBIC, QUINTIC = 3.4445, -4.7750, 2.0315
ITERATIONS = 5
BETAS = 0.9, 0.95  # for AdamW, as its authors use it with Muon


def orthogonalise(matrix: Tensor) -> Tensor:
    """About the orthogonal matrix nearest to `matrix` (m, n): U V^T of its singular value decomposition.

    Newton-Schulz: X <- a X + b (X X^T) X + c (X X^T)^2 X, which only multiplies matrices.
    """
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    x = wide / (wide.norm() + 1e-7)  # the spectral norm is at most this one
    short, long = sorted(matrix.shape)
    if matrix.dtype != torch.bfloat16 and 2 * long > 3 * short:
        # Less work for wide matrices, but it needs more digits than bfloat16 has.
        x = _product_of_steps(x @ x.mT) @ x
    else:
        for _ in range(ITERATIONS):
            square = x @ x.mT
            step = torch.addmm(square, square, square, beta=CUBIC, alpha=QUINTIC)
            x = torch.addmm(x, step, x, beta=LINEAR)
    return x.mT if matrix.shape[0] > matrix.shape[1] else x


def _product_of_steps(square: Tensor) -> Tensor:
    """The matrix by which all iterations together multiply X, from S = X X^T (m, m).

    Each iteration multiplies X by P = a + b S + c S^2, which turns S into P S P.
    """

    def polynomial(square: Tensor) -> Tensor:
        step = torch.addmm(square, square, square, beta=CUBIC, alpha=QUINTIC)
        step.diagonal().add_(LINEAR)
        return step

    product = step = polynomial(square)
    for _ in range(ITERATIONS - 1):
        square = step @ square @ step
        step = polynomial(square)
        product = step @ product
    return product


class Muon(torch.optim.Optimizer):
    """Muon for the hidden layers, with Nesterov momentum; for the rest Nesterov SGD or AdamW.

    A filter bank (out, in, height, width) counts as a matrix (out, in * height * width). With the gradient g
    of a hidden layer and its momentum v, a step is

        v <- momentum * v + (1 - momentum) * g;  g' = (1 - momentum) * g + momentum * v
        w <- (1 - lr * weight_decay) * w - lr * sqrt(max(1, rows / columns)) * orthogonalise(g')

    The learning rate is thus the spectral norm of each step whatever the size of the gradient, and the same
    one suits layers of all shapes.

    Args:
        groups: parameter groups, each with its own `lr`; those with `hidden: True` hold the hidden layers,
            those with `adam: True` are updated by AdamW, others by SGD (weight decay added to the gradient).
        dtype: of the orthogonalisation; bfloat16 suffices and is fast if the hardware supports it.
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        *,
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.dtype = dtype
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        defaults |= {"hidden": False, "adam": False}
        super().__init__([dict(group) for group in groups], defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Update all parameters that have a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            for parameter in parameters:
                if not self.state[parameter]:
                    self.state[parameter]["velocity"] = torch.zeros_like(parameter)
                    if group["adam"]:
                        self.state[parameter]["square"] = torch.zeros_like(parameter)
                        # Not named `step`: torch would leave that on the CPU when a state is loaded.
                        self.state[parameter]["count"] = torch.zeros((), device=parameter.device)
            velocities = [self.state[p]["velocity"] for p in parameters]
            gradients = [p.grad for p in parameters]
            if group["hidden"]:
                self._orthogonal_step(group, parameters, gradients, velocities)
            elif group["adam"]:
                self._adamw_step(group, parameters, gradients, velocities)
            else:
                self._sgd_step(group, parameters, gradients, velocities)

    def _orthogonal_step(
        self, group: Mapping[str, Any], parameters: list[Tensor], gradients: list[Tensor], v: list[Tensor]
    ) -> None:
        momentum, rate = group["momentum"], group["lr"]
        torch._foreach_lerp_(v, gradients, 1 - momentum)
        directions = torch._foreach_lerp(gradients, v, momentum)
        torch._foreach_mul_(parameters, 1 - rate * group["weight_decay"])
        for parameter, direction in zip(parameters, directions, strict=True):
            # Channels last, as they lie in memory: the order of columns does not change the result.
            filters = direction.movedim(1, -1)
            step = orthogonalise(filters.flatten(1).to(self.dtype))
            scale = max(1.0, step.shape[0] / step.shape[1]) ** 0.5
            parameter.sub_(step.view(filters.shape).movedim(-1, 1), alpha=rate * scale)

    def _adamw_step(
        self, group: Mapping[str, Any], parameters: list[Tensor], gradients: list[Tensor], v: list[Tensor]
    ) -> None:
        adamw(
            parameters,
            gradients,
            v,
            [self.state[parameter]["square"] for parameter in parameters],
            [],
            [self.state[parameter]["count"] for parameter in parameters],
            fused=True if parameters[0].device.type in ("cpu", "cuda") else None,
            amsgrad=False,
            beta1=BETAS[0],
            beta2=BETAS[1],
            lr=group["lr"],
            weight_decay=group["weight_decay"],
            eps=1e-8,
            maximize=False,
        )

    def _sgd_step(
        self, group: Mapping[str, Any], parameters: list[Tensor], gradients: list[Tensor], v: list[Tensor]
    ) -> None:
        gradients = list(torch._foreach_add(gradients, parameters, alpha=group["weight_decay"]))
        torch._foreach_mul_(v, group["momentum"])
        torch._foreach_add_(v, gradients)
        torch._foreach_add_(gradients, v, alpha=group["momentum"])
        torch._foreach_sub_(parameters, torch._foreach_mul(gradients, group["lr"]))
