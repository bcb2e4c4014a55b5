"""One step of training: rays to loss to gradients."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.cameras import Cameras
from triptych.radiance.composite import composite, transmittance
from triptych.radiance.field import Field
from triptych.radiance.march import march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.pixels import Pixels, over
from triptych.radiance.stepping import Stepping
from triptych.run.devices import autocast

HUBER_DELTA = 0.1
LAST_SEEN = 1e-4  # transmittance below which a sample gets no gradient worth its cost
DAMPED = 1.0  # distance from the camera, in unit cubes, below which gradients are scaled down


@dataclass(frozen=True)
class Problem:
    """What stays the same from step to step."""

    pixels: Pixels
    cameras: Cameras
    occupancy: OccupancyGrid
    near: float
    background: str
    precision: str


@dataclass(frozen=True)
class Outcome:
    """Loss (a scalar tensor with its graph), mean squared error, and samples before and after compaction."""

    loss: Tensor
    squared_error: float
    marched: int
    used: int


def background_colours(kind: str, count: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """(count, 3) colours behind the scene.

    Random ones, drawn anew for every ray, leave a field no way to hide holes behind a colour: it
    must be opaque where the image is, and transparent where the image is.
    """
    if kind == "random":
        return torch.rand(count, 3, generator=generator, device=device)
    return torch.full((count, 3), 1.0 if kind == "white" else 0.0, device=device)


def damp_near_gradients(values: Tensor, distance: Tensor) -> None:
    """Scale the gradients that reach `values` (n, …) by min(1, distance²).

    Space just before a camera is sampled by all of its rays and by no other camera; fog there
    would explain each image on its own (Philip and Deschaintre 2023, Floaters No More).
    """
    scale = (distance / DAMPED).square().clamp(max=1)
    values.register_hook(lambda gradient: gradient * scale.view(-1, *[1] * (gradient.dim() - 1)))


def loss_of_rays(
    field: Field, problem: Problem, *, rays: int, stepping: Stepping, generator: torch.Generator
) -> Outcome:
    """Draw pixels, render their rays and compare (Huber loss on sRGB values).

    Densities are first found without gradients; samples that no light reaches are dropped, so
    that the costly backward pass only sees the others.
    """
    device = problem.pixels.values.device
    image, centres, values = problem.pixels.draw(rays, generator)
    background = background_colours(problem.background, rays, generator, device)
    jitter = torch.rand(rays, generator=generator, device=device)
    origins, directions = problem.cameras.rays(image, centres)
    samples = march(
        origins,
        directions,
        jitter,
        occupancy=problem.occupancy,
        stepping=stepping,
        aabb_scale=field.shape.aabb_scale,
        near=problem.near,
    )
    marched = len(samples)
    positions = samples.positions(origins, directions)
    with autocast(device, problem.precision):
        with torch.no_grad():
            light = transmittance(field.density(positions) * samples.step, samples.ray)
            seen = (light > LAST_SEEN).nonzero()[:, 0]
        samples = samples.select(seen)
        density, colour = field(positions[seen], directions[samples.ray])
    damp_near_gradients(density, samples.distance)
    damp_near_gradients(colour, samples.distance)
    rendered, _ = composite(density, colour, samples.distance, samples.step, samples.ray, rays)
    prediction, target = rendered.over(background), over(values, background)
    loss = functional.huber_loss(prediction, target, delta=HUBER_DELTA)
    squared_error = float(functional.mse_loss(prediction.detach(), target))
    return Outcome(loss, squared_error, marched, len(samples))


def next_ray_count(rays: int, outcome: Outcome, target: int) -> int:
    """Rays for the next step, so that about `target` samples get gradients.

    Marching is bounded as well, at four times as many; changes are at most twofold, and counts
    are multiples of 64 from 64 to 65536.
    """
    load = max(outcome.used / target, outcome.marched / (4 * target), 1e-9)
    wanted = rays * min(2.0, max(0.5, 1 / load))
    return int(min(65536, max(64, wanted // 64 * 64)))
