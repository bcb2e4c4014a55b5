"""A field that is neither empty nor opaque, its occupancy, and rays through it."""

import torch
from torch import Tensor

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import StepSchedule
from triptych.radiance.trace import Rays

CPU = torch.device("cpu")


def lively_field(*, seed: int = 0, dtype: torch.dtype = torch.float32, **shape: int) -> Field:
    """A field that is neither empty nor opaque anywhere, as after some training."""
    generator = torch.Generator().manual_seed(seed)
    field = Field(FieldShape(**{"log2_table": 12, "finest_resolution": 64, **shape}), generator=generator).to(
        dtype
    )
    with torch.no_grad():
        for table in field.grid.tables:
            table.copy_(torch.randn(table.shape, generator=generator) * 0.5)
        if field.appearance is not None:
            field.appearance.normal_(generator=generator)
        field.density_network[-1].weight[0] += 0.3
    return field


def patchy_occupancy(aabb_scale: int, *, seed: int = 0, share: float = 0.3) -> OccupancyGrid:
    grid = OccupancyGrid(aabb_scale=aabb_scale, resolution=32, device=CPU)
    grid.set_cells(
        (torch.rand(grid.occupied.shape, generator=torch.Generator().manual_seed(seed)) < share) & grid.active
    )
    return grid


def rays_through(field: Field, count: int, *, seed: int = 0, step_scale: float = 4.0) -> Rays:
    generator, scale = torch.Generator().manual_seed(seed), field.shape.aabb_scale
    origins = 0.5 + (torch.rand(count, 3, generator=generator) - 0.5) * 1.4 * scale  # some outside of the box
    targets = 0.5 + (torch.rand(count, 3, generator=generator) - 0.5) * 0.8 * scale
    directions = torch.nn.functional.normalize(targets - origins, dim=-1).requires_grad_()
    images = torch.arange(count) % field.shape.images if field.appearance is not None else None
    return Rays(
        origins.requires_grad_(),
        directions,
        field.ray_features(directions, images),
        torch.rand(count, generator=generator),
        0.1,
        StepSchedule.for_scene(scale, step_scale=step_scale),
    )


def everything(field: Field, traced: object, rays: Rays) -> list[Tensor]:
    """What was seen, and the gradients of all there is, of a fixed weighted sum."""
    rendered = traced.rendered  # type: ignore[attr-defined]
    seen = torch.cat(
        [rendered.colour, torch.stack([rendered.opacity, rendered.depth, traced.distortion], 1)],  # type: ignore[attr-defined]
        dim=1,
    )
    weight = torch.randn(seen.shape, generator=torch.Generator().manual_seed(9))
    (seen * weight).sum().backward()
    wanted = [rays.origins, rays.directions, *field.parameters()]
    return [seen.detach(), *[value.grad.clone() for value in wanted if value.grad is not None]]
