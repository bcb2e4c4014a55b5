"""Which implementation runs a radiance field: plain PyTorch or the compiled CPU kernels.

Only trainer and renderer use it. The field itself, and everything that defines its meaning, is plain PyTorch.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.kernels import registry
from triptych.radiance.field import Field
from triptych.radiance.trace import Shade, Tracer, trace_rays
from triptych.workflow.devices import autocast, choose_device, describe_precision
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")


def choose_radiance_device(name: str) -> torch.device:
    """Like `choose_device`, but `auto` never chooses MPS, which lacks the float64 sums used here.
    Raises `TriptychError` if this machine lacks the device, or the device lacks float64.
    """
    device = choose_device(name)
    if device.type == "mps":
        if name != "auto":
            raise TriptychError(
                f"device: '{name}' has no float64, which radiance fields need; use cpu or cuda"
            )
        return torch.device("cpu")
    return device


def compiled_operation(name: str, field: Field) -> Any:
    """An operation of `kernels.registry` that reads this float32 field in place; None: use plain PyTorch."""
    table = field.grid.tables[0]
    return registry.operation(name, table.device) if table.dtype == torch.float32 else None


def make_tracer(field: Field, precision: str, *, compiled: bool = False) -> Tracer:
    """The fastest implementation of `trace_rays` for this field.

    With `compiled`, torch.compile fuses the field's operations if no compiled kernel runs them; if it fails
    (no C++ compiler, no Triton), a warning says so.
    """
    tracer = compiled_operation("radiance_tracer", field)
    if tracer is not None:
        return tracer(field, precision)
    shade = compile_shade(field, precision) if compiled else None
    return partial(trace_rays, precision=precision, shade=shade)


def make_density(field: Field, precision: str) -> Callable[[Tensor], Tensor]:
    """A function from (n, 3) float32 positions to (n,) densities by the field's current weights; no
    gradients.
    """
    compiled = compiled_operation("radiance_density", field)
    if compiled is not None:
        kernels = compiled(field, precision)

        def compiled_density(positions: Tensor) -> Tensor:
            kernels.refresh()
            return kernels.density(positions)

        return compiled_density

    @torch.no_grad()
    def plain_density(positions: Tensor) -> Tensor:
        with autocast(positions.device, precision):
            return field.density(positions)

    return plain_density


def compile_shade(field: Field, precision: str) -> Shade | None:
    """`field.shade` by torch.compile, tried on a few points in `precision`; None if that fails."""
    shade: Shade = torch.compile(field.shade, dynamic=True)
    table = field.grid.tables[0]
    points = torch.full((8, 3), 0.5, device=table.device, dtype=table.dtype)
    try:
        with autocast(table.device, precision):  # as in training, which would compile it again otherwise
            density, _ = shade(points, points.new_zeros(8, field.ray_width))
        density.sum().backward()
    except Exception as error:  # a missing compiler raises many kinds of errors
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("torch.compile does not work here (%s); going on without it", reason[0])
        return None
    finally:
        field.zero_grad(set_to_none=True)
    return shade


def precision_used(field: Field, precision: str) -> str:
    """The number format in which the networks of this field run with `precision`: for provenance."""
    activation_type = compiled_operation("radiance_precision", field)
    if activation_type is not None:
        return "float32" if activation_type(precision) is np.float32 else "bfloat16"
    return describe_precision(field.grid.tables[0].device, precision)
