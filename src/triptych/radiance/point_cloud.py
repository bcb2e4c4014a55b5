"""A coloured point cloud: the surface points that the training cameras see."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.backend import make_density
from triptych.radiance.normals import neighbour_distance, normals_between
from triptych.radiance.render import RadianceField, render_rays
from triptych.scenes.cameras import Cameras
from triptych.workflow.progress import Progress

OPAQUE = 0.9  # least opacity of a point
CROSS = ((0.0, 0.0), (1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))  # a point and its neighbours


@dataclass(frozen=True)
class PointCloud:
    """n points: positions, unit normals that face the camera, sRGB colours in [0, 1]; (n, 3) each."""

    positions: Tensor
    normals: Tensor
    colours: Tensor


def pixel_lattice(width: int, height: int, spacing: float) -> Tensor:
    """Centres (n, 2) of the pixels on an even lattice `spacing` pixels apart, row by row."""
    columns = torch.arange(min(spacing, width) / 2, width, spacing).floor() + 0.5
    rows = torch.arange(min(spacing, height) / 2, height, spacing).floor() + 0.5
    return torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1).reshape(-1, 2)


def extract_points(
    radiance: RadianceField,
    cameras: Cameras,
    low: Tensor,
    high: Tensor,
    *,
    points: int,
    masks: Sequence[Tensor | None] | None = None,
) -> PointCloud:
    """Points at the expected depth of evenly spaced pixels, in unit-cube coordinates, within the box.

    Args:
        points: approximate number of rays of all cameras together; a ray that hits nothing opaque in the box
            gives no point.
        masks: the pixels of each view that the field was trained on, (h, w) bool, or None for all of a view;
            others give no points. None: all pixels of all views.
    """
    pixels = int(cameras.size.prod(dim=-1).sum())
    spacing = max(1.0, math.sqrt(pixels / points))
    nothing = torch.empty(0, 3, device=low.device)
    found: list[tuple[Tensor, Tensor, Tensor]] = [(nothing, nothing, nothing)]
    offsets = torch.tensor(CROSS, device=low.device)
    with Progress(len(cameras), "point cloud", unit="view") as progress:
        for camera in range(len(cameras)):
            width, height = cameras.size[camera].tolist()
            lattice = pixel_lattice(width, height, spacing)
            if masks is not None and (mask := masks[camera]) is not None:
                column, row = lattice.long().unbind(dim=-1)
                lattice = lattice[mask[row, column]]
            progress.update()
            if (count := len(lattice)) == 0:
                continue
            lattice = lattice.to(low.device)
            around = (lattice + neighbour_distance(width, height) * offsets[:, None]).reshape(-1, 2)
            index = torch.full((len(around),), camera, device=low.device)
            origins, directions = cameras.rays(index, around)
            rendered = render_rays(radiance, origins, directions)
            depth = rendered.depth / rendered.opacity.clamp(min=1e-6)
            surface = (origins + depth[:, None] * directions).view(len(CROSS), count, 3)
            opacity = rendered.opacity[:count]
            positions = surface[0]
            kept = (opacity > OPAQUE) & ((positions >= low) & (positions <= high)).all(dim=-1)
            colours = (rendered.colour[:count] / opacity.clamp(min=1e-6)[:, None]).clamp(0, 1)
            found.append((positions[kept], normals_between(*surface)[kept], colours[kept]))
    return PointCloud(*(torch.cat(values) for values in zip(*found, strict=True)))


def surface_density(radiance: RadianceField, cloud: PointCloud) -> float:
    """The density that three quarters of a cloud's points exceed, per unit-cube length.

    The density of surfaces depends on how long a field was trained and on the size of things in
    the scene, so one level for all fields would cut holes into some and add fog to others. A
    quarter of the points may lie off a surface, since the expected depth is a mean along the ray.
    Infinite for an empty cloud: there is no visible surface.
    """
    if not len(cloud.positions):
        return math.inf
    density = make_density(radiance.field, radiance.precision)(cloud.positions)
    return float(density.sort().values[len(density) // 4])
