"""Where samples are taken: steps, box, occupancy."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from triptych.radiance.march import Samples, box_interval, march
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.step_schedule import MIN_STEP, StepSchedule, step_scale_for
from triptych.scenes.cameras import Cameras

CPU = torch.device("cpu")
BALL = 0.08


def ball_density(positions: Tensor, centre: float = 0.6) -> Tensor:
    """Dense inside a small ball, empty elsewhere."""
    return ((positions - centre).norm(dim=-1) < BALL) * 1000.0


def grid_of(density: object, *, aabb_scale: int = 1, resolution: int = 32, rounds: int = 40) -> OccupancyGrid:
    grid = OccupancyGrid(aabb_scale=aabb_scale, resolution=resolution, device=CPU)
    for number in range(rounds):
        grid.update(density, torch.Generator().manual_seed(number))  # type: ignore[arg-type]
    return grid


def random_rays(count: int, seed: int, spread: float = 1.0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    targets = torch.rand(count, 3, generator=generator)
    origins = 0.5 + spread * torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1)
    return origins, torch.nn.functional.normalize(targets - origins, dim=-1)


def walk(grid: OccupancyGrid, origins: Tensor, directions: Tensor, *, aabb_scale: int = 1) -> Samples:
    return march(
        origins,
        directions,
        torch.rand(len(origins), generator=torch.Generator().manual_seed(9)),
        occupancy=grid,
        schedule=StepSchedule.for_scene(aabb_scale),
        aabb_scale=aabb_scale,
        near=0.1,
    )


@given(st.sampled_from([1, 4]), st.floats(0, 30), st.sampled_from([1.0, 4.0]))
def test_step_numbers_and_distances_are_inverse(aabb_scale: int, distance: float, step_scale: float) -> None:
    schedule = StepSchedule.for_scene(aabb_scale, step_scale=step_scale)
    reached = torch.tensor([distance], dtype=torch.float64)
    assert schedule.distance(schedule.number(reached)).item() == pytest.approx(distance, abs=1e-9)


@given(st.floats(0, 10))
def test_steps_grow_with_distance_in_large_scenes_only(distance: float) -> None:
    reached = torch.tensor([distance], dtype=torch.float64)
    for aabb_scale, expected in ((1, MIN_STEP), (16, max(MIN_STEP, distance / 256))):
        schedule = StepSchedule.for_scene(aabb_scale)
        after = schedule.distance(schedule.number(reached) + 1)
        assert (after - reached).item() == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("focal", "expected"), [(3000.0, 1.0), (640.0, 2.0), (20.0, 8.0)])
def test_small_images_are_marched_with_longer_steps(focal: float, expected: float) -> None:
    assert step_scale_for(torch.full((3, 2), focal)) == pytest.approx(expected)


def test_box_interval_of_known_rays() -> None:
    origins = torch.tensor([[-1.0, 0.5, 0.5], [0.5, 0.5, 0.5], [-1.0, 3.0, 0.5]])
    directions = torch.tensor([[1.0, 0, 0], [0, 0, 1.0], [1.0, 0, 0]])
    enter, leave = box_interval(origins, directions, 1, 0.1)
    assert enter[:2].tolist() == pytest.approx([1.0, 0.1])
    assert leave[:2].tolist() == pytest.approx([2.0, 0.5])
    assert leave[2] < enter[2]


@pytest.mark.parametrize("aabb_scale", [1, 4])
def test_samples_fill_the_box_in_order_and_evenly(aabb_scale: int) -> None:
    grid = OccupancyGrid(aabb_scale=aabb_scale, resolution=16, device=CPU)
    origins, directions = random_rays(50, seed=0)
    samples = walk(grid, origins, directions, aabb_scale=aabb_scale)
    positions = samples.positions(origins, directions)
    assert ((positions - 0.5).abs() <= aabb_scale / 2 + 1e-5).all()
    assert (samples.distance >= 0.1).all()
    same = samples.ray_index[1:] == samples.ray_index[:-1]
    assert (samples.ray_index[1:] >= samples.ray_index[:-1]).all()
    gaps = (samples.distance[1:] - samples.distance[:-1])[same]
    steps = (samples.step_length[1:] + samples.step_length[:-1])[same] / 2
    assert torch.allclose(gaps, steps, rtol=0.01, atol=1e-5)  # nothing is left out
    enter, leave = box_interval(origins, directions, aabb_scale, 0.1)
    covered = torch.zeros(50).index_add(0, samples.ray_index, samples.step_length)
    assert ((covered - (leave - enter).clamp(min=0)).abs() < 2 * samples.step_length.max()).all()


@settings(max_examples=15)
@given(st.integers(0, 1000), st.sampled_from([1, 4]))
def test_marching_skips_no_occupied_cell(seed: int, aabb_scale: int) -> None:
    grid = OccupancyGrid(aabb_scale=aabb_scale, resolution=16, device=CPU)
    everywhere = grid.occupied.clone()
    grid.set_cells(torch.rand(grid.occupied.shape, generator=torch.Generator().manual_seed(seed)) < 0.01)
    few = grid.occupied.clone()
    origins, directions = random_rays(30, seed, spread=1.5)
    kept = walk(grid, origins, directions, aabb_scale=aabb_scale)
    grid.set_occupied(everywhere)
    dense = walk(grid, origins, directions, aabb_scale=aabb_scale)
    grid.set_occupied(few)
    wanted = grid.is_occupied(dense.positions(origins, directions), dense.step_length)
    assert torch.equal(kept.distance, dense.distance[wanted])
    assert torch.equal(kept.ray_index, dense.ray_index[wanted])


@pytest.mark.parametrize("aabb_scale", [1, 4])
def test_cells_with_density_are_occupied_and_empty_ones_are_not(aabb_scale: int) -> None:
    grid = grid_of(ball_density, aabb_scale=aabb_scale)
    inside = 0.6 + (torch.rand(4000, 3, generator=torch.Generator().manual_seed(1)) - 0.5) * 2 * BALL
    inside = inside[(inside - 0.6).norm(dim=-1) < BALL - math.sqrt(3) / 32]  # whole cells in the ball
    assert grid.is_occupied(inside, torch.zeros(len(inside))).all()
    outside = torch.rand(4000, 3, generator=torch.Generator().manual_seed(2))
    outside = outside[(outside - 0.6).norm(dim=-1) > BALL + math.sqrt(3) / 32]
    assert not grid.is_occupied(outside, torch.zeros(len(outside))).any()


def test_long_steps_see_what_lies_anywhere_in_a_coarse_cell() -> None:
    grid = grid_of(ball_density, aabb_scale=4)
    beside = torch.tensor([[0.6 + BALL + 0.04] * 3])
    assert not grid.is_occupied(beside, torch.tensor([0.01]))
    assert grid.is_occupied(torch.tensor([[0.6] * 3]), torch.tensor([0.1]))


def test_density_that_vanishes_is_forgotten() -> None:
    grid = grid_of(ball_density)
    before = grid.fraction()
    for number in range(200):
        grid.update(
            lambda x: ball_density(x, 0.3), torch.Generator().manual_seed(number), turn=number, turns=4
        )
    assert grid.is_occupied(torch.full((1, 3), 0.3), torch.zeros(1))
    assert not grid.is_occupied(torch.full((1, 3), 0.6), torch.zeros(1))
    assert grid.fraction() == pytest.approx(before, rel=0.5)


def test_cells_that_no_camera_sees_are_off() -> None:
    grid = OccupancyGrid(aabb_scale=1, resolution=32, device=CPU)
    camera = Cameras(  # from (0.5, 0.5, -1) along +z, 45 degrees wide
        focal=torch.tensor([[100.0, 100.0]]),
        centre=torch.tensor([[41.4, 41.4]]),
        distortion=torch.zeros(1, 4),
        rotation=torch.eye(3)[None],
        position=torch.tensor([[0.5, 0.5, -1.0]]),
        size=torch.tensor([[83, 83]]),
    )
    grid.cull_unseen_cells(camera, near=0.1)
    points = torch.rand(5000, 3, generator=torch.Generator().manual_seed(3))
    image, depth = camera.project(0, points)
    seen = ((image >= 0) & (image <= 83)).all(dim=-1) & (depth > 0)
    on = grid.is_occupied(points, torch.zeros(5000))
    assert on[seen].all()
    assert not on[(points[:, 2] < 0.05) & (points[:, 0] < 0.02)].any()  # well out of the picture
    grid.update(lambda x: torch.ones(len(x)), torch.Generator().manual_seed(0))
    assert not grid.occupied[~grid.active].any()
