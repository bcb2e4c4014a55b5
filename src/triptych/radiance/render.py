"""Rendering of a trained field: rays in chunks, each followed until it is opaque, and whole images."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.backend import compiled_operation
from triptych.radiance.composite import RenderedRays, accumulate, transmittance
from triptych.radiance.field import Field
from triptych.radiance.march import Samples, march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import StepSchedule
from triptych.scenes.cameras import Cameras
from triptych.workflow.devices import autocast

CHUNK = 4096  # rays rendered together: enough to fill the networks, few enough for 1 GiB of memory
COMPILED_CHUNK = 2**17  # the same for the compiled renderer
FIRST_WAVE = 8  # samples per ray
MIN_TRANSMITTANCE = 1e-3  # a ray ends below it: a quarter of an 8-bit grey level
TILE = 16  # side in pixels of the squares that are rendered one after the other


@dataclass(frozen=True)
class RadianceField:
    """A trained scene: everything that rendering needs."""

    field: Field
    occupancy: OccupancyGrid
    near: float  # distance from the camera, in unit cubes, at which samples begin
    background: Tensor  # (3,) sRGB background colour
    step_scale: float  # factor on the step lengths along rays
    precision: str  # `auto`, `bfloat16`, `float16` or `float32`

    @property
    def schedule(self) -> StepSchedule:
        """Lengths of the steps along rays."""
        return StepSchedule.for_scene(self.field.shape.aabb_scale, step_scale=self.step_scale)


def render_rays(
    radiance: RadianceField,
    origins: Tensor,
    directions: Tensor,
    *,
    min_transmittance: float = MIN_TRANSMITTANCE,
) -> RenderedRays:
    """Render any number of rays (rays, 3), with unit directions, by the compiled renderer if it supports the
    field.

    A ray ends where its transmittance is below `min_transmittance`.
    """
    compiled, chunks = compiled_operation("radiance_renderer", radiance.field), []
    renderer = None if compiled is None else compiled(radiance.field, radiance.precision)
    chunk = CHUNK if renderer is None else COMPILED_CHUNK
    options = {"schedule": radiance.schedule, "near": radiance.near, "min_transmittance": min_transmittance}
    for rays in zip(origins.split(chunk), directions.split(chunk), strict=True):
        if renderer is None:
            chunks.append(render_chunk(radiance, *rays, min_transmittance))
        else:
            chunks.append(renderer(radiance.occupancy, *rays, **options))
    return RenderedRays.concatenate(chunks)


@torch.no_grad()
def render_chunk(
    radiance: RadianceField, origins: Tensor, directions: Tensor, min_transmittance: float
) -> RenderedRays:
    """`render_rays` in plain PyTorch, for as many rays as fit into memory at once.

    Samples are evaluated in waves from the camera outwards, 8 per ray, then 16, and so on;
    opaque rays are dropped after each wave.
    """
    count, device = len(origins), origins.device
    samples = march(
        origins,
        directions,
        torch.full((count,), 0.5, device=device),
        occupancy=radiance.occupancy,
        schedule=radiance.schedule,
        aabb_scale=radiance.field.shape.aabb_scale,
        near=radiance.near,
    )
    starts = torch.searchsorted(samples.ray_index, torch.arange(count, device=device))
    rank = torch.arange(len(samples), device=device) - starts[samples.ray_index]
    colour, light = torch.zeros(count, 3, device=device), torch.ones(count, device=device)
    depth = torch.zeros(count, device=device)
    wave_begin, wave_length = 0, FIRST_WAVE
    while len(samples):
        in_wave = rank < wave_begin + wave_length
        wave = _render_wave(radiance, samples.select(in_wave.nonzero()[:, 0]), origins, directions, light)
        colour, depth, light = colour + wave.colour, depth + wave.depth, light - wave.opacity
        rest = (~in_wave & (light > min_transmittance)[samples.ray_index]).nonzero()[:, 0]
        samples, rank = samples.select(rest), rank[rest]
        wave_begin, wave_length = wave_begin + wave_length, wave_length * 2
    return RenderedRays(colour, 1 - light, depth)


def _render_wave(
    radiance: RadianceField, samples: Samples, origins: Tensor, directions: Tensor, light: Tensor
) -> RenderedRays:
    """The contribution of one wave of samples, given the transmittance (rays,) before it."""
    with autocast(origins.device, radiance.precision):
        density, colour = radiance.field(
            samples.positions(origins, directions), directions[samples.ray_index]
        )
    optical_depth = density * samples.step_length
    passing = light[samples.ray_index] * transmittance(optical_depth, samples.ray_index)
    weight = -passing * torch.expm1(-optical_depth)
    return accumulate(weight, colour, samples.distance, samples.ray_index, len(origins))


@dataclass(frozen=True)
class RenderedImage:
    """A rendered image: colour (h, w, 3) and opacity (h, w) in [0, 1], depth (h, w) in unit cubes."""

    colour: Tensor
    opacity: Tensor
    depth: Tensor

    @classmethod
    def from_rays(cls, rendered: RenderedRays, size: tuple[int, int], background: Tensor) -> "RenderedImage":
        """Rays of all pixels, row by row, as an image of `size` (width, height) over the background."""
        shape = size[1], size[0]
        return cls(
            colour=rendered.over(background).clamp(0, 1).view(*shape, 3),
            opacity=rendered.opacity.view(shape),
            depth=(rendered.depth / rendered.opacity.clamp(min=1e-6)).view(shape),
        )


def render_tiles(
    radiance: RadianceField,
    origins: Tensor,
    directions: Tensor,
    width: int,
    *,
    min_transmittance: float = MIN_TRANSMITTANCE,
) -> RenderedRays:
    """`render_rays` of whole rows of pixels, `width` each, tile by tile.

    Rays of neighbouring pixels read the same part of the field's tables, so this order is faster.
    """
    height = len(origins) // width
    rows, columns = torch.arange(height)[:, None], torch.arange(width)[None, :]
    tile = rows // TILE * (-(-width // TILE)) + columns // TILE
    order = tile.flatten().argsort(stable=True).to(origins.device)
    tiles = render_rays(radiance, origins[order], directions[order], min_transmittance=min_transmittance)
    back = order.argsort()
    return RenderedRays(tiles.colour[back], tiles.opacity[back], tiles.depth[back])


def render_image(
    radiance: RadianceField, cameras: Cameras, index: int, *, min_transmittance: float = MIN_TRANSMITTANCE
) -> RenderedImage:
    """Render the image of one camera over the field's background."""
    width, height = cameras.size[index].tolist()
    rays = cameras.image_rays(index)
    rendered = render_tiles(radiance, *rays, width, min_transmittance=min_transmittance)
    return RenderedImage.from_rays(rendered, (width, height), radiance.background)
