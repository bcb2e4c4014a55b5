"""What rays see, with gradients: the part of a training step that costs the time.

`trace_reference` is plain PyTorch, runs anywhere and defines the meaning; `make_tracer` takes the
kernels for a field that lies on a CPU in float32.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from triptych.radiance.composite import Rendered, composite, distortion, transmittance
from triptych.radiance.field import Field, runs_on_kernels
from triptych.radiance.march import march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import Stepping
from triptych.radiance.tiny_cuda import TINY_CUDA, TORCH
from triptych.workflow.devices import autocast, describe_precision

log = logging.getLogger("triptych")

LAST_SEEN = 1e-4  # transmittance below which a sample gets no gradient worth its cost
DAMPED = 1.0  # distance from the camera, in unit cubes, below which gradients are scaled down


@dataclass(frozen=True)
class Rays:
    """Rays to trace.

    Attributes:
        origins, directions: (rays, 3), directions of unit length.
        features: (rays, m), from `Field.ray_features`.
        jitter: (rays,) shift of each ray's samples, in steps, in [0, 1).
        near: distance before which there is nothing.
        stepping: lengths of the steps.
    """

    origins: Tensor
    directions: Tensor
    features: Tensor
    jitter: Tensor
    near: float
    stepping: Stepping


@dataclass(frozen=True)
class Traced:
    """What rays see.

    Attributes:
        rendered: colour, opacity and depth.
        distortion: (rays,), see `composite.distortion`.
        marched: samples in occupied cells.
        used: those among them that light reaches, and that get gradients.
    """

    rendered: Rendered
    distortion: Tensor
    marched: int
    used: int


Tracer = Callable[[Field, OccupancyGrid, Rays], Traced]
Shade = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def damp_near_gradients(values: Tensor, distance: Tensor) -> None:
    """Scale the gradients that reach `values` (n, …) by min(1, distance²).

    Space just before a camera is sampled by all of its rays and by no other camera; fog there
    would explain each image on its own (Philip and Deschaintre 2023, Floaters No More).
    """
    scale = (distance / DAMPED).square().clamp(max=1)
    values.register_hook(lambda gradient: gradient * scale.view(-1, *[1] * (gradient.dim() - 1)))


def trace_reference(
    field: Field, occupancy: OccupancyGrid, rays: Rays, *, precision: str, shade: Shade | None = None
) -> Traced:
    """March, evaluate the field (by `shade` instead of `field.shade`, if given), composite.

    Densities are first found without gradients; samples that no light reaches are dropped, so
    that the costly backward pass only sees the others.
    """
    samples = march(
        rays.origins.detach(),
        rays.directions.detach(),
        rays.jitter,
        occupancy=occupancy,
        stepping=rays.stepping,
        aabb_scale=field.shape.aabb_scale,
        near=rays.near,
    )
    marched = len(samples)
    with autocast(rays.origins.device, precision):
        with torch.no_grad():
            density = field.density(samples.positions(rays.origins, rays.directions))
            seen = (transmittance(density * samples.step, samples.ray) > LAST_SEEN).nonzero()[:, 0]
        samples = samples.select(seen)
        positions = samples.positions(rays.origins, rays.directions)
        density, colour = (shade or field.shade)(positions, rays.features[samples.ray])
    if density.requires_grad:
        damp_near_gradients(density, samples.distance)
        damp_near_gradients(colour, samples.distance)
    count = len(rays.origins)
    rendered, weight = composite(density, colour, samples.distance, samples.step, samples.ray, count)
    spread = distortion(weight, samples.distance, samples.step, samples.ray, count)
    return Traced(rendered, spread, marched, len(samples))


def make_tracer(field: Field, precision: str, *, compiled: bool = False) -> Tracer:
    """The fastest way to trace this field: kernels on a CPU, else `trace_reference`.

    `compiled` lets torch.compile fuse the field's operations there; where it cannot (no C++
    compiler, no Triton), that is said and the field runs as it is. tiny-cuda-nn's modules are fused already.
    """
    if runs_on_kernels(field):
        from triptych.kernels.radiance.trace import KernelTracer

        return KernelTracer(field, precision)
    shade = compile_shade(field, precision) if compiled and field.shape.modules == TORCH else None
    return partial(trace_reference, precision=precision, shade=shade)


def compile_shade(field: Field, precision: str) -> Shade | None:
    """`field.shade` through torch.compile, tried on a few points in `precision`; None where that fails."""
    shade: Shade = torch.compile(field.shade, dynamic=True)
    table = field.grid.tables[0]
    points = torch.full((8, 3), 0.5, device=table.device, dtype=table.dtype)
    try:
        with autocast(table.device, precision):  # as in training, which would compile anew otherwise
            density, _ = shade(points, points.new_zeros(8, field.ray_width))
        density.sum().backward()
    except Exception as error:  # whatever a missing compiler makes of it
        reason = str(error).strip().splitlines() or [type(error).__name__]
        log.warning("torch.compile does not work here (%s); going on without it", reason[0])
        return None
    finally:
        field.zero_grad(set_to_none=True)
    return shade


def precision_used(field: Field, precision: str) -> str:
    """The number format of the networks that `precision` comes to for this field, by name."""
    if runs_on_kernels(field):
        from triptych.kernels.radiance.field import activation_type

        return "float32" if activation_type(precision) is np.float32 else "bfloat16"
    if field.shape.modules == TINY_CUDA:
        return "float16"
    return describe_precision(field.grid.tables[0].device, precision)
