"""The path of a fly-through, and its size: what its training can afford, or what the config says."""

from pathlib import Path

import pytest
import torch
from scipy.spatial.transform import Rotation
from sphere_scene import write_ball_scene

from triptych.radiance.flythrough import affordable_width, film_cameras
from triptych.scenes.camera_path import camera_path
from triptych.scenes.scene import read_scene

OPTIONS = {"seconds": 2, "fps": 5, "width": None}


def test_a_film_is_as_wide_as_its_training_affords() -> None:
    widths = [affordable_width(samples, frames=120, aspect=4 / 3) for samples in (4e6, 4e7, 2e8, 4e9)]
    assert widths == [128, 210, 471, 540]


def test_half_as_many_frames_may_have_twice_the_pixels() -> None:
    short, long = (affordable_width(4e7, frames=frames, aspect=1) ** 2 for frames in (60, 120))
    assert short == pytest.approx(2 * long, rel=0.02)


def test_a_given_width_is_kept(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path, images=6, side=24)
    scene = read_scene(path)
    for width, made in ((None, 128), (60, 60)):
        cameras, fps = film_cameras(
            path, scene, [1, 2, 3], name="ball", path=None, options={**OPTIONS, "width": width}, samples=1e5
        )
        assert cameras.size.tolist() == [[made, made]] * 10 and fps == 5


def test_the_path_starts_and_ends_at_cameras_and_stays_smooth(tmp_path: Path) -> None:
    cameras = read_scene(write_ball_scene(tmp_path / "scene")).cameras
    path = camera_path(cameras, frames=200, seconds=30.0, width=64)
    assert torch.allclose(path.position[0], cameras.position[0], atol=1e-5)
    assert torch.allclose(path.position[-1], cameras.position[-1], atol=1e-5)
    steps = path.position.diff(dim=0).norm(dim=-1)
    assert steps.max() < 2 * steps.mean()
    turns = (
        Rotation.from_matrix(path.rotation[:-1]).inv() * Rotation.from_matrix(path.rotation[1:])
    ).magnitude()
    assert turns.max() < 3 * turns.mean()
    # every frame still looks at the ball in the middle
    for number in range(0, 200, 20):
        pixel, depth = path.project(number, torch.full((1, 3), 0.5))
        assert depth > 0
        assert torch.allclose(pixel[0], path.centre[number], atol=4)
