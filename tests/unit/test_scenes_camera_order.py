"""A film goes past cameras in the order of capture if that is a path, else from neighbour to neighbour."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from triptych.scenes.camera_order import camera_distances, film_order, path_length, short_path
from triptych.scenes.camera_path import camera_path
from triptych.scenes.cameras import Cameras


def facing_centre(positions: np.ndarray) -> Rotation:
    """Cameras that look at the origin, with +z up."""
    z = positions / np.linalg.norm(positions, axis=1, keepdims=True)
    x = np.cross([0.0, 0.0, 1.0], z)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return Rotation.from_matrix(np.stack([x, np.cross(z, x), z], axis=-1))


def ring(count: int, degrees: float = 300) -> np.ndarray:
    angles = np.radians(np.linspace(0, degrees, count))
    return np.stack([4 * np.cos(angles), 4 * np.sin(angles), np.full(count, 1.5)], axis=-1)


def dome(count: int, seed: int = 0) -> np.ndarray:
    """Anywhere above the ground, as in NeRF's synthetic scenes."""
    points = np.random.default_rng(seed).normal(size=(count, 3))
    points[:, 2] = np.abs(points[:, 2]) + 0.05
    return 4 * points / np.linalg.norm(points, axis=1, keepdims=True)


@given(st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_no_path_through_a_few_points_is_much_shorter(count: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(count, 3))
    distances = np.linalg.norm(points[:, None] - points, axis=-1)
    order = short_path(distances)
    assert sorted(order) == list(range(count))
    best = min(path_length(distances, np.array(other)) for other in permutations(range(count)))
    assert path_length(distances, order) <= 1.25 * best + 1e-9


def test_a_shuffled_walk_is_put_in_order() -> None:
    positions = ring(60)
    shuffled = np.random.default_rng(0).permutation(60)
    order, captured = film_order(positions[shuffled], facing_centre(positions[shuffled]))
    assert not captured and list(shuffled[order]) in ([*range(60)], [*range(59, -1, -1)])


def test_a_walk_keeps_its_order_also_by_a_trembling_hand() -> None:
    positions = ring(200) + np.random.default_rng(0).normal(scale=0.03, size=(200, 3))
    order, captured = film_order(positions, facing_centre(positions))
    assert captured and list(order) == list(range(200))


def test_of_thousands_of_cameras_some_are_left_out() -> None:
    positions = ring(2000)
    order, captured = film_order(positions, facing_centre(positions))
    assert captured and len(order) == 500 and (order[0], order[-1]) == (0, 1999)


def test_a_turn_counts_as_well_as_a_distance() -> None:
    positions = np.zeros((3, 3))
    positions[:, 0] = [0, 0.1, 0.2]
    rotations = Rotation.from_rotvec(np.radians([[0, 0, 0], [0, 0, 170], [0, 0, 5]]))
    distances = camera_distances(positions, rotations)
    assert distances[0, 2] < distances[0, 1] and np.allclose(distances, distances.T)


@pytest.mark.parametrize(
    "positions", [ring(60)[np.random.default_rng(1).permutation(60)], dome(100), dome(30)]
)
def test_a_film_past_photographs_in_no_order_is_not_dizzying(positions: np.ndarray) -> None:
    count, seconds, fps = len(positions), 8, 24
    cameras = Cameras(
        focal=torch.full((count, 2), 80.0),
        centre=torch.full((count, 2), 50.0),
        distortion=torch.zeros(count, 4),
        rotation=torch.from_numpy(facing_centre(positions).as_matrix()).float(),
        position=torch.from_numpy(positions).float(),
        size=torch.full((count, 2), 100),
    )
    film = camera_path(cameras, frames=seconds * fps, seconds=seconds, width=32)
    rotations = Rotation.from_matrix(film.rotation.double().numpy())
    turns = np.degrees((rotations[:-1].inv() * rotations[1:]).magnitude())
    assert turns.sum() / seconds < 61 and turns.max() * fps < 100
