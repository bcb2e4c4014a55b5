"""One step of training: rays to loss."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.camera_optimizer import Corrections
from triptych.radiance.field import Field
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.ray_sampler import Pixels, over
from triptych.radiance.step_schedule import Stepping
from triptych.radiance.trace import Rays, Tracer
from triptych.scenes.cameras import Cameras

HUBER_DELTA = 1.0


@dataclass(frozen=True)
class Problem:
    """What stays the same from step to step."""

    pixels: Pixels
    cameras: Cameras
    corrections: Corrections
    occupancy: OccupancyGrid
    tracer: Tracer
    near: float
    background: str
    distortion: float


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


def loss_of_rays(
    field: Field, problem: Problem, *, rays: int, stepping: Stepping, generator: torch.Generator
) -> Outcome:
    """Draw pixels, render their rays and compare (Huber loss on sRGB values)."""
    device = problem.pixels.values.device
    image, centres, values = problem.pixels.draw(rays, generator)
    background = background_colours(problem.background, rays, generator, device)
    jitter = torch.rand(rays, generator=generator, device=device)
    origins, directions = problem.corrections.rays(problem.cameras, image, centres)
    features = field.ray_features(directions, image)
    traced = problem.tracer(
        field,
        problem.occupancy,
        Rays(origins, directions, features, jitter, problem.near, stepping),
    )
    # the exposure is the photograph's; what stands behind both it and the field is not exposed
    exposed = replace(traced.rendered, colour=problem.corrections.expose(traced.rendered.colour, image))
    prediction = exposed.over(background)
    target = over(values, background)
    loss = functional.huber_loss(prediction, target, delta=HUBER_DELTA)
    if problem.distortion:
        loss = loss + problem.distortion * traced.distortion.mean()
    squared_error = float(functional.mse_loss(prediction.detach(), target))
    return Outcome(loss, squared_error, traced.marched, traced.used)


def next_ray_count(rays: int, outcome: Outcome, target: int) -> int:
    """Rays for the next step, so that about `target` samples get gradients.

    Marching is bounded as well, at twice as many; changes are at most twofold, and counts
    are multiples of 64 from 64 to 65536.
    """
    load = max(outcome.used / target, outcome.marched / (2 * target), 1e-9)
    wanted = rays * min(2.0, max(0.5, 1 / load))
    return int(min(65536, max(64, wanted // 64 * 64)))
