"""Which part of a scene is exported."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.radiance.render import RadianceField
from triptych.scenes.coordinates import World
from triptych.workflow.errors import TriptychError

# In unit cubes, a power of two: cameras about an object are 1.3 from its middle on average, so
# this holds the object and what it stands on, but not the scenery behind.
MIDDLE = 2


def export_box(
    radiance: RadianceField, world: World, box: Sequence[Sequence[float]] | None
) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner, (3,) float32 each in unit-cube coordinates, of what is exported.

    Args:
        radiance: the trained field.
        world: which `box` is given in.
        box: lowest and highest corner in the coordinates of transforms.json, cut off where the
            field ends. None takes the bounding box of the occupied cells in the cube of side
            MIDDLE about the scene's middle, or all of that cube if none is occupied.

    Raises:
        TriptychError: `box` is inside out, or outside of the field.
    """
    device = radiance.background.device
    if box is None:
        width = min(MIDDLE, radiance.field.shape.aabb_scale)
        inner = radiance.occupancy.occupied[width.bit_length() - 1]
        cells, side = inner.nonzero(), inner.shape[0]
        if not len(cells):
            cells = torch.tensor([[0, 0, 0], [side - 1, side - 1, side - 1]], device=device)
        first, last = cells.amin(dim=0), cells.amax(dim=0)
        return (first / side - 0.5) * width + 0.5, ((last + 1) / side - 0.5) * width + 0.5
    half = radiance.field.shape.aabb_scale / 2
    low, high = world.to_cube(np.asarray(box, dtype=np.float64)).clip(0.5 - half, 0.5 + half)
    if (high <= low).any():
        ends = [
            [round(float(x), 3) for x in world.from_cube(np.full(3, 0.5 + side))] for side in (-half, half)
        ]
        raise TriptychError(
            f"export.box: {[list(corner) for corner in box]} holds nothing of the scene; give its lowest "
            f"and its highest corner, within {ends}"
        )
    return torch.from_numpy(low).float().to(device), torch.from_numpy(high).float().to(device)
