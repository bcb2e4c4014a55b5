"""The parts of a field: hash grid, spherical harmonics, networks."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import sph_harm_y

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.hash_grid import HashGrid, level_resolutions
from triptych.radiance.spherical_harmonics import spherical_harmonics


def small_grid(**changes: int) -> HashGrid:
    options = {"levels": 4, "features": 2, "log2_table": 9, "base_resolution": 4, "finest_resolution": 40}
    grid = HashGrid(**{**options, **changes}, generator=torch.Generator().manual_seed(0)).double()
    for table in grid.tables:
        table.data.normal_(generator=torch.Generator().manual_seed(1))
    return grid


def encode_one_by_one(grid: HashGrid, point: np.ndarray) -> np.ndarray:
    """The encoding as the paper words it, a corner at a time, in Python integers."""
    encoded = []
    for level, resolution in enumerate(grid.resolutions):
        table = grid.tables[level].detach().numpy()
        scaled = point * resolution
        low = np.minimum(np.floor(scaled), resolution - 1).astype(int)
        value = np.zeros(table.shape[1])
        for corner in np.ndindex(2, 2, 2):
            x, y, z = (int(a + b) for a, b in zip(low, corner, strict=True))
            if (resolution + 1) ** 3 <= len(table):
                row = x + (resolution + 1) * (y + (resolution + 1) * z)
            else:
                row = (x ^ (y * 2654435761) ^ (z * 805459861)) % len(table)
            away = np.abs(scaled - (low + np.array(corner)))
            value += np.prod(1 - away) * table[row]
        encoded.append(value)
    return np.concatenate(encoded)


def test_encoding_equals_the_papers_definition() -> None:
    grid = small_grid()
    assert len(grid.tables[0]) == 125  # the first level is dense,
    assert len(grid.tables[3]) == 512  # the last one hashed
    points = torch.rand(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    points = torch.cat([points, torch.tensor([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.25, 0.5]])])
    expected = np.stack([encode_one_by_one(grid, point) for point in points.numpy()])
    np.testing.assert_allclose(grid(points).detach().numpy(), expected, atol=1e-12)


def test_interpolation_reproduces_linear_functions() -> None:
    grid = small_grid(levels=1, features=1, log2_table=12, base_resolution=8, finest_resolution=8)
    corners = torch.stack(torch.meshgrid(*[torch.arange(9)] * 3, indexing="ij")).reshape(3, -1)
    rows = corners[0] + 9 * (corners[1] + 9 * corners[2])
    slope = torch.tensor([0.3, -2.0, 1.1], dtype=torch.float64)
    grid.tables[0].data[rows, 0] = slope @ (corners.double() / 8) + 0.7
    points = torch.rand(200, 3, dtype=torch.float64)
    assert torch.allclose(grid(points)[:, 0], points @ slope + 0.7, atol=1e-12)


@given(st.integers(0, 3), st.integers(1, 3), st.floats(0, 1), st.floats(0, 1))
def test_encoding_is_continuous_across_cells(level: int, border: int, y: float, z: float) -> None:
    grid = small_grid()
    x = border / grid.resolutions[level]
    sides = torch.tensor([[x - 1e-9, y, z], [x + 1e-9, y, z]], dtype=torch.float64)
    encoded = grid(sides)
    assert torch.allclose(encoded[0], encoded[1], atol=1e-5)


def test_levels_grow_geometrically_to_the_finest() -> None:
    resolutions = level_resolutions(8, 16, 2048)
    assert (resolutions[0], resolutions[-1]) == (16, 2048)
    assert all(b / a == pytest.approx(2, rel=0.01) for a, b in pairwise(resolutions))


def test_spherical_harmonics_equal_scipys() -> None:
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(50, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    polar, azimuth = np.arccos(directions[:, 2]), np.arctan2(directions[:, 1], directions[:, 0])
    expected = []
    for degree in range(4):
        for order in range(-degree, degree + 1):
            value = sph_harm_y(degree, abs(order), polar, azimuth)
            part = value.imag if order < 0 else value.real
            expected.append(part * (math.sqrt(2) if order else 1))
    found = spherical_harmonics(torch.from_numpy(directions)).numpy()
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=1e-12)


def test_field_gradients_are_exact() -> None:
    shape = FieldShape(aabb_scale=2, levels=2, features=2, log2_table=6, finest_resolution=32)
    field = Field(shape, generator=torch.Generator().manual_seed(4)).double()
    for table in field.grid.tables:
        table.data.normal_(generator=torch.Generator().manual_seed(5))
    positions = torch.rand(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(6)) * 2 - 0.5
    directions = torch.nn.functional.normalize(torch.ones(3, 3, dtype=torch.float64), dim=-1)
    parameters = (field.grid.tables[1], field.density_network[0].weight)

    def outputs(*_: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        density, colour = field(positions, directions)
        return density, colour

    assert torch.autograd.gradcheck(outputs, parameters)


def test_field_is_positive_coloured_and_seeded() -> None:
    fields = [Field(FieldShape(log2_table=8), generator=torch.Generator().manual_seed(7)) for _ in range(2)]
    points = torch.rand(20, 3)
    directions = torch.nn.functional.normalize(torch.randn(20, 3), dim=-1)
    density, colour = fields[0](points, directions)
    assert (density > 0).all()
    assert ((colour >= 0) & (colour <= 1)).all()
    assert torch.equal(colour, fields[1](points, directions)[1])
    assert torch.equal(density, fields[0].density(points))
