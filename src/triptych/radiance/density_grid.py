"""Density on a regular grid."""

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.radiance.density import density_of
from triptych.radiance.render import RadianceField
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

BLOCK = 2**18  # nodes evaluated together


@dataclass(frozen=True)
class DensityGrid:
    """Density per unit-cube length at the nodes of a cubic grid.

    Attributes:
        values: (nx, ny, nz) float32.
        low: (3,) position of the first node, in unit-cube coordinates.
        cell: distance between neighbouring nodes.
    """

    values: Tensor
    low: Tensor
    cell: float


@torch.no_grad()
def sample_density(radiance: RadianceField, low: Tensor, high: Tensor, *, resolution: int) -> DensityGrid:
    """Evaluate a field's density in a box, block by block.

    Where the occupancy grid rules out that anything is seen, density is 0, as it is in renderings.

    Args:
        radiance: the trained field.
        low, high: (3,) corners of the box, in unit-cube coordinates.
        resolution: cells along the longest side of the box.

    Raises:
        TriptychError: the box is thinner than a cell.
    """
    extent = high - low
    cell = float(extent.max()) / resolution
    counts = [int(side / cell + 1e-4) + 1 for side in extent.tolist()]
    if min(counts) < 2:
        raise TriptychError(
            f"export.box: its thinnest side is shorter than a cell, 1/{resolution} of the longest; "
            "raise export.resolution or widen the box"
        )
    nx, ny, nz = counts
    total = nx * ny * nz
    device, density = low.device, density_of(radiance.field, radiance.precision)
    values = torch.zeros(total, device=device)
    with Progress(total, "density", unit="node") as progress:
        for start in range(0, total, BLOCK):
            node = torch.arange(start, min(start + BLOCK, total), device=device)
            index = torch.stack([node // (ny * nz), node // nz % ny, node % nz], dim=-1)
            positions = low + cell * index
            occupied = radiance.occupancy.is_occupied(positions, torch.zeros(len(node), device=device))
            if occupied.any():
                values[node[occupied]] = density(positions[occupied])
            progress.update(len(node))
    return DensityGrid(values.view(nx, ny, nz), low, cell)
