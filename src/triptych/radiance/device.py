"""Where radiance fields are trained and rendered."""

import torch

from triptych.workflow.devices import choose_device
from triptych.workflow.errors import TriptychError


def choose_radiance_device(name: str) -> torch.device:
    """`choose_device`, except that `auto` passes over MPS: it lacks the float64 sums used here."""
    device = choose_device(name)
    if device.type == "mps":
        if name != "auto":
            raise TriptychError(
                f"device: '{name}' has no float64, which radiance fields need; use cpu or cuda"
            )
        return torch.device("cpu")
    return device
