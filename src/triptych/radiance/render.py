"""Whole images from a trained field: in chunks of rays, each followed until nothing more shows."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from triptych.radiance.composite import Rendered, accumulate, transmittance
from triptych.radiance.field import Field, runs_on_kernels
from triptych.radiance.march import Samples, march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import Stepping
from triptych.scenes.cameras import Cameras
from triptych.workflow.devices import autocast

RAYS = 4096  # rays marched together: enough to fill the networks, few enough for 1 GiB of memory
KERNEL_RAYS = 2**17  # the same for the CPU's kernels
FIRST_WAVE = 8
LAST_SEEN = 1e-3  # transmittance below which a ray is not followed: a quarter of a grey level
TILE = 16  # pixels a side of the squares that are rendered one after the other


@dataclass(frozen=True)
class RadianceField:
    """A trained scene: all that rendering needs.

    Attributes:
        field: density and colour.
        occupancy: where to look.
        near: distance from the camera, in unit cubes, before which nothing is drawn.
        background: (3,) sRGB colour behind everything.
        coarseness: length of the steps along rays over the shortest.
        precision: `auto`, `bfloat16`, `float16` or `float32`.
        kernels: the CPU's renderer of `field`, made when it is left out and the field lies there.
    """

    field: Field
    occupancy: OccupancyGrid
    near: float
    background: Tensor
    coarseness: float
    precision: str
    kernels: Any = None

    def __post_init__(self) -> None:
        if self.kernels is None and runs_on_kernels(self.field):
            from triptych.kernels.radiance.render import KernelRenderer

            object.__setattr__(self, "kernels", KernelRenderer(self.field, self.precision))

    @property
    def stepping(self) -> Stepping:
        """Lengths of the steps along rays."""
        return Stepping.for_scene(self.field.shape.aabb_scale, coarseness=self.coarseness)


def render_rays(
    scene: RadianceField, origins: Tensor, directions: Tensor, *, last_seen: float = LAST_SEEN
) -> Rendered:
    """What rays see, given by (rays, 3) origins and unit directions; any number of them.

    A ray is followed until less light than `last_seen` would come from further away.
    """
    size = KERNEL_RAYS if scene.kernels else RAYS
    parts = []
    for origin, direction in zip(origins.split(size), directions.split(size), strict=True):
        if scene.kernels:
            settings = {"stepping": scene.stepping, "near": scene.near, "last_seen": last_seen}
            parts.append(scene.kernels(scene.occupancy, origin, direction, **settings))
        else:
            parts.append(_render_chunk(scene, origin, direction, last_seen))
    return Rendered(
        *(torch.cat([getattr(part, name) for part in parts]) for name in ("colour", "opacity", "depth"))
    )


@torch.no_grad()
def _render_chunk(scene: RadianceField, origins: Tensor, directions: Tensor, last_seen: float) -> Rendered:
    """`render_rays` for as many rays as fit into memory at once.

    Samples are evaluated in waves from the camera outwards, 8 of each ray, then 16, and so on;
    rays that have become opaque drop out between two waves.
    """
    count, device = len(origins), origins.device
    samples = march(
        origins,
        directions,
        torch.full((count,), 0.5, device=device),
        occupancy=scene.occupancy,
        stepping=scene.stepping,
        aabb_scale=scene.field.shape.aabb_scale,
        near=scene.near,
    )
    starts = torch.searchsorted(samples.ray, torch.arange(count, device=device))
    rank = torch.arange(len(samples), device=device) - starts[samples.ray]
    colour, light = torch.zeros(count, 3, device=device), torch.ones(count, device=device)
    depth = torch.zeros(count, device=device)
    begin, size = 0, FIRST_WAVE
    while len(samples):
        in_wave = rank < begin + size
        part = _shade(scene, samples.select(in_wave.nonzero()[:, 0]), origins, directions, light)
        colour, depth, light = colour + part.colour, depth + part.depth, light - part.opacity
        rest = (~in_wave & (light > last_seen)[samples.ray]).nonzero()[:, 0]
        samples, rank = samples.select(rest), rank[rest]
        begin, size = begin + size, size * 2
    return Rendered(colour, 1 - light, depth)


def _shade(
    scene: RadianceField, samples: Samples, origins: Tensor, directions: Tensor, light: Tensor
) -> Rendered:
    """What one wave of samples adds, given the light (rays,) that still reaches it."""
    with autocast(origins.device, scene.precision):
        density, colour = scene.field(samples.positions(origins, directions), directions[samples.ray])
    optical_depth = density * samples.step
    passing = light[samples.ray] * transmittance(optical_depth, samples.ray)
    weight = -passing * torch.expm1(-optical_depth)
    return accumulate(weight, colour, samples.distance, samples.ray, len(origins))


@dataclass(frozen=True)
class Picture:
    """A rendered image: colour (h, w, 3) and opacity (h, w) in [0, 1], depth (h, w) in unit cubes."""

    colour: Tensor
    opacity: Tensor
    depth: Tensor


def tile_order(width: int, height: int) -> Tensor:
    """Pixel numbers, square by square: neighbouring rays read the same part of the field's tables."""
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    tile = rows // TILE * (-(-width // TILE)) + columns // TILE
    return tile.flatten().argsort(stable=True)


def render_image(
    scene: RadianceField, cameras: Cameras, index: int, *, last_seen: float = LAST_SEEN
) -> Picture:
    """Render the image of one camera, over the scene's background."""
    origins, directions = cameras.image_rays(index)
    width, height = cameras.size[index].tolist()
    order = tile_order(width, height).to(origins.device)
    tiles = render_rays(scene, origins[order], directions[order], last_seen=last_seen)
    back = order.argsort()
    rendered = Rendered(tiles.colour[back], tiles.opacity[back], tiles.depth[back])
    shape = (height, width)
    return Picture(
        colour=rendered.over(scene.background).clamp(0, 1).view(*shape, 3),
        opacity=rendered.opacity.view(shape),
        depth=(rendered.depth / rendered.opacity.clamp(min=1e-6)).view(shape),
    )
