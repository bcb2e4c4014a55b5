"""A crop keeps what is in the box, to the cell, and leaves the original alone."""

from dataclasses import replace

import pytest
import torch
from ball_field import ball_field

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField, render_rays

CPU = torch.device("cpu")


def filled(aabb_scale: int, resolution: int = 16) -> RadianceField:
    """A field that is occupied everywhere."""
    grid = OccupancyGrid(aabb_scale=aabb_scale, resolution=resolution, device=CPU)
    shape = FieldShape(aabb_scale=aabb_scale, levels=2, log2_table=6, finest_resolution=32)
    return replace(ball_field(), field=Field(shape), occupancy=grid)


def crop(scene: RadianceField, low: tuple[float, ...], high: tuple[float, ...]) -> RadianceField:
    return replace(scene, occupancy=scene.occupancy.crop(low, high))


def occupied_at(scene: RadianceField, points: torch.Tensor) -> list[bool]:
    found: list[bool] = scene.occupancy.is_occupied(points, torch.zeros(len(points))).tolist()
    return found


@pytest.mark.parametrize("aabb_scale", [1, 4])
def test_the_inside_stays_and_the_outside_goes(aabb_scale: int) -> None:
    low, high = (0.3, 0.2, 0.4), (0.9, 0.7, 0.6)
    kept = crop(filled(aabb_scale), low, high)
    points = (
        0.5 + (torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * aabb_scale * 0.999
    )
    cell = aabb_scale / 16  # of the coarsest cells
    inside = ((points > torch.tensor(low)) & (points < torch.tensor(high))).all(dim=-1)
    far = ((points < torch.tensor(low) - cell) | (points > torch.tensor(high) + cell)).any(dim=-1)
    assert inside.any() and all(occupied_at(kept, points[inside]))
    assert not any(occupied_at(kept, points[far]))


def test_the_edge_is_as_fine_as_a_cell() -> None:
    kept = crop(filled(1), (0.5, 0, 0), (0.51, 1, 1))  # within the ninth of 16 cells
    x = (torch.arange(16) + 0.5) / 16
    row = torch.stack([x, torch.full((16,), 0.5), torch.full((16,), 0.5)], dim=-1)
    assert [number for number, found in enumerate(occupied_at(kept, row)) if found] == [8]


def test_half_a_ball_looks_like_half_a_ball() -> None:
    ball = ball_field()
    half = crop(ball, (-9, -9, 0.5), (9, 9, 9))
    heights = torch.linspace(0.25, 0.75, 21)
    origins = torch.stack([torch.full((21,), 1.5), torch.full((21,), 0.5), heights], dim=-1)
    directions = torch.tensor([-1.0, 0.0, 0.0]).repeat(21, 1)
    assert (render_rays(ball, origins, directions).opacity > 0.9).sum() == 21
    seen = render_rays(half, origins, directions).opacity
    assert (seen[heights < 0.48] == 0).all()
    assert (seen[heights > 0.52] > 0.9).all()


def test_an_inside_out_box_holds_nothing_and_the_original_is_untouched() -> None:
    ball = ball_field()
    before = ball.occupancy.occupied.clone()
    assert not crop(ball, (0.6, 0, 0), (0.4, 1, 1)).occupancy.occupied.any()
    assert torch.equal(ball.occupancy.occupied, before)
