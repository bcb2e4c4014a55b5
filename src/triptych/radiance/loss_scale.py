"""What keeps the gradients of single samples within float16's range; see `torch.amp.GradScaler`."""

from collections.abc import Iterable

import torch
from torch import nn

from triptych.workflow.errors import TriptychError

INITIAL = 1024.0
LEAST = 2.0**-10
GROWTH_EVERY = 2000  # steps in a row without overflow, after which the scale is doubled


class LossScale:
    """A factor of the loss that halves when gradients overflow, and doubles when they long have not.

    `GradScaler` does the same for optimisers of torch alone, and the hash tables have their own.

    Args:
        precision: of the networks; only `float16` needs a factor, all others keep 1.
    """

    def __init__(self, precision: str) -> None:
        self.scales = precision == "float16"
        self.factor = INITIAL if self.scales else 1.0
        self.steps = 0

    def unscale(self, parameters: Iterable[nn.Parameter]) -> bool:
        """Divide the parameters' gradients by the factor; if any overflowed, drop them all and return False.

        Raises:
            TriptychError: they overflow however small the factor is.
        """
        if not self.scales:
            return True
        learnt = list(parameters)
        gradients = [parameter.grad for parameter in learnt if parameter.grad is not None]
        if bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all()):
            torch._foreach_div_(gradients, self.factor)
            self.steps += 1
            if self.steps % GROWTH_EVERY == 0:
                self.factor *= 2
            return True
        self.factor, self.steps = self.factor / 2, 0
        if self.factor < LEAST:
            raise TriptychError(
                "radiance: the gradients overflow float16 in every step; use precision bfloat16 or float32, "
                "or lower learning_rate"
            )
        for parameter in learnt:
            parameter.grad = None
        return False

    def state_dict(self) -> dict[str, float]:
        """The factor, and for how many steps it has fitted; nothing where none is needed."""
        return {"factor": self.factor, "steps": self.steps} if self.scales else {}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Take over what `state_dict` gave, unless one of the two, on another device, needs no factor."""
        if self.scales and state:
            self.factor, self.steps = state["factor"], int(state["steps"])
