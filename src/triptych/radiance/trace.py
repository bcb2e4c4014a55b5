"""Rays to colours, with gradients: march, evaluate the field, composite. A training step's main cost."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.composite import RenderedRays, composite, transmittance
from triptych.radiance.field import Field
from triptych.radiance.loss import distortion_loss
from triptych.radiance.march import march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import StepSchedule
from triptych.workflow.devices import autocast

MIN_TRANSMITTANCE = 1e-4  # below it, a sample gets no gradient
GRADIENT_SCALE_DISTANCE = 1.0  # unit cubes; nearer to the camera, gradients are scaled down


@dataclass(frozen=True)
class Rays:
    """Rays to trace."""

    origins: Tensor  # (rays, 3); directions have unit length
    directions: Tensor  # (rays, 3); directions have unit length
    features: Tensor  # (rays, m), from `Field.ray_features`
    jitter: Tensor  # (rays,) offset of each ray's samples, in steps, in [0, 1)
    near: float  # distance at which samples begin
    schedule: StepSchedule


@dataclass(frozen=True)
class Traced:
    """The result of tracing rays."""

    rendered: RenderedRays
    distortion: Tensor  # (rays,), see `loss.distortion_loss`
    marched: int  # number of samples in occupied cells
    used: int  # number of samples with enough transmittance, which get gradients


Tracer = Callable[[Field, OccupancyGrid, Rays], Traced]
Shade = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def scale_gradients_by_distance(values: Tensor, distance: Tensor) -> None:
    """Scale the gradients that reach `values` (n, …) by min(1, distance²).

    Space just in front of a camera is sampled by all of its rays and by no other camera; without scaling,
    fog there could reproduce each image on its own (Philip and Deschaintre 2023, Floaters No More).
    """
    scale = (distance / GRADIENT_SCALE_DISTANCE).square().clamp(max=1)
    values.register_hook(lambda gradient: gradient * scale.view(-1, *[1] * (gradient.dim() - 1)))


def trace_rays(
    field: Field, occupancy: OccupancyGrid, rays: Rays, *, precision: str, shade: Shade | None = None
) -> Traced:
    """March, evaluate the field (by `shade` instead of `field.shade`, if given), composite.

    A first pass without gradients finds densities; samples below `MIN_TRANSMITTANCE` are dropped, so
    that the costly forward and backward passes run on the others only.
    """
    samples = march(
        rays.origins.detach(),
        rays.directions.detach(),
        rays.jitter,
        occupancy=occupancy,
        schedule=rays.schedule,
        aabb_scale=field.shape.aabb_scale,
        near=rays.near,
    )
    marched = len(samples)
    with autocast(rays.origins.device, precision):
        with torch.no_grad():
            density = field.density(samples.positions(rays.origins, rays.directions))
            light = transmittance(density * samples.step_length, samples.ray_index)
        samples = samples.select((light > MIN_TRANSMITTANCE).nonzero()[:, 0])
        positions = samples.positions(rays.origins, rays.directions)
        density, colour = (shade or field.shade)(positions, rays.features[samples.ray_index])
    if density.requires_grad:
        scale_gradients_by_distance(density, samples.distance)
        scale_gradients_by_distance(colour, samples.distance)
    count = len(rays.origins)
    rendered, weight = composite(
        density, colour, samples.distance, samples.step_length, samples.ray_index, count
    )
    distortion = distortion_loss(weight, samples.distance, samples.step_length, samples.ray_index, count)
    return Traced(rendered, distortion, marched, len(samples))
