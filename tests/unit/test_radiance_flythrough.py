"""The size of a fly-through: what its training can afford, or what the config says."""

from pathlib import Path

import pytest
from sphere_scene import write_ball_scene

from triptych.radiance.flythrough import affordable_width, film_cameras
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
