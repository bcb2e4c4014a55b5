"""A part of a radiance field, cut out along the axes."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField


def crop(scene: RadianceField, low: Sequence[float], high: Sequence[float]) -> RadianceField:
    """The field inside a box: nothing outside of it is rendered.

    The occupancy grid is masked, so the box grows to whole cells. The given field stays as it is;
    both share the same networks.

    Args:
        scene: what to cut from.
        low: the lowest corner, three unit-cube coordinates.
        high: the highest corner. Nothing is left where it is not above `low`.
    """
    occupied = scene.occupancy.occupied.clone()
    cascades, side, device = len(occupied), occupied.shape[-1], occupied.device
    edges = torch.arange(side + 1, device=device) / side - 0.5
    for cascade in range(cascades):
        planes = edges * 2**cascade + 0.5
        for axis in range(3):
            # a cell is kept if its interval meets the box's
            keep = (planes[:-1] < high[axis]) & (planes[1:] > low[axis]) & (low[axis] < high[axis])
            shape = [1, 1, 1]
            shape[axis] = side
            occupied[cascade] &= keep.view(shape)
    grid = OccupancyGrid(aabb_scale=scene.field.shape.aabb_scale, resolution=side, device=device)
    grid.set_occupied(occupied)
    return replace(scene, occupancy=grid)
