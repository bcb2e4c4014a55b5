"""Meshes of fields whose surface is known in closed form."""

import math

import numpy as np
import pytest
import torch
from known_surface import (
    LEVEL,
    MIDDLE,
    RADIUS,
    as_trimesh,
    ball,
    ball_and_crumb,
    colour_of,
    mesh_of,
    radiance_of,
)

from triptych.radiance.mesh import extract_mesh, sample_density, simplify, surface_colours
from triptych.workflow.errors import TriptychError


def test_the_mesh_of_a_ball_is_that_ball() -> None:
    mesh, cell = mesh_of(ball)
    solid = as_trimesh(mesh)
    assert solid.is_watertight
    assert solid.is_winding_consistent
    assert solid.euler_number == 2
    # positive: counter-clockwise from outside
    assert solid.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.01)
    assert solid.area == pytest.approx(4 * math.pi * RADIUS**2, rel=0.01)
    distance = (mesh.vertices - MIDDLE).norm(dim=-1)
    assert (distance - RADIUS).abs().max() < 0.2 * cell
    assert (distance - RADIUS).mean().abs() < 0.1 * cell
    outward = (mesh.vertices - MIDDLE) / distance[:, None]
    assert (mesh.normals * outward).sum(dim=-1).min() > 0.98
    assert (mesh.normals * outward).sum(dim=-1).mean() > 0.998
    assert torch.allclose(mesh.normals.norm(dim=-1), torch.ones(len(distance)))


def test_small_pieces_are_left_out() -> None:
    both, alone = as_trimesh(mesh_of(ball_and_crumb, min_component_fraction=0)[0]), mesh_of(ball_and_crumb)[0]
    assert both.body_count == 2
    large, _ = mesh_of(ball_and_crumb, min_component_fraction=0.1)
    assert as_trimesh(large).body_count == 1
    assert len(large.vertices) == len(np.unique(large.faces))
    assert len(alone.faces) == len(both.faces)  # the crumb has more than a hundredth of the faces


def test_a_simplified_ball_is_still_that_ball_with_a_tenth_of_the_faces() -> None:
    mesh, cell = mesh_of(ball)
    small = simplify(mesh, max_faces=len(mesh.faces) // 10)
    solid = as_trimesh(small)
    assert 0.09 * len(mesh.faces) < len(small.faces) <= 0.1 * len(mesh.faces)
    assert solid.is_watertight and solid.is_winding_consistent
    assert solid.volume == pytest.approx(4 / 3 * math.pi * RADIUS**3, rel=0.02)
    outward = torch.nn.functional.normalize(small.vertices - MIDDLE, dim=-1)
    assert ((small.vertices - MIDDLE).norm(dim=-1) - RADIUS).abs().max() < 0.3 * cell
    assert (small.normals * outward).sum(dim=-1).min() > 0.95
    assert simplify(mesh, max_faces=len(mesh.faces)) is mesh


def test_space_that_is_not_occupied_holds_no_surface() -> None:
    radiance = radiance_of(ball_and_crumb)
    occupied = radiance.occupancy.occupied.clone()
    occupied[:, :8, :8, :8] = False
    radiance.occupancy.set_occupied(occupied)
    low = torch.zeros(3)
    values, cell = sample_density(radiance, low, torch.ones(3), resolution=48)
    assert (
        as_trimesh(extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=0)).body_count == 1
    )


def test_a_box_cuts_the_surface_open() -> None:
    low, high = torch.tensor([0.0, 0.0, 0.5]), torch.ones(3)
    values, cell = sample_density(radiance_of(ball), low, high, resolution=40)
    assert values.shape == (41, 41, 21)
    mesh = extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=0)
    assert not as_trimesh(mesh).is_watertight
    assert mesh.vertices[:, 2].min() == pytest.approx(0.5, abs=1e-6)


def test_density_is_sampled_at_the_nodes_of_the_grid() -> None:
    low, high = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.4, 0.6, 0.5])
    values, cell = sample_density(
        radiance_of(lambda x: x @ torch.tensor([1.0, 10.0, 100.0])), low, high, resolution=8
    )
    assert cell == pytest.approx(0.05)
    assert values.shape == (7, 9, 5)
    assert values[2, 3, 4] == pytest.approx((0.1 + 0.1) + 10 * (0.2 + 0.15) + 100 * (0.3 + 0.2))


def test_vertices_have_the_colours_seen_from_outside() -> None:
    mesh, cell = mesh_of(ball)
    colours = surface_colours(radiance_of(ball), mesh, cell=cell)
    assert (colours - colour_of(mesh.vertices)).abs().max() < 0.05


def test_fog_that_fills_the_box_has_no_surface() -> None:
    assert len(mesh_of(lambda positions: torch.full((len(positions),), 1e4))[0].faces) == 0


def test_a_box_thinner_than_a_cell_is_refused() -> None:
    with pytest.raises(TriptychError, match=r"raise export\.resolution"):
        sample_density(radiance_of(ball), torch.zeros(3), torch.tensor([1.0, 1.0, 0.01]), resolution=32)
