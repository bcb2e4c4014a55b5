"""Fisheye lenses: against COLMAP's model and a root finder, beyond 90 degrees, beside other lenses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from test_scenes_cameras import LENS, random_cameras, write_scene

from triptych.radiance.frustum_culling import sphere_in_view
from triptych.scenes.cameras import Cameras
from triptych.scenes.lenses import fisheye_distort, fisheye_undistort
from triptych.scenes.scene import read_scene
from triptych.workflow.errors import TriptychError

FISHEYE = torch.tensor([0.03, -0.006, 0.0008, -0.00002], dtype=torch.float64)


def fisheye_cameras(focal: float = 95.0) -> Cameras:
    """Two cameras whose corners look 120 degrees away from their axes."""
    cameras = random_cameras(2)
    return replace(
        cameras,
        focal=torch.full_like(cameras.focal, focal),
        distortion=FISHEYE.repeat(2, 1),
        fisheye=torch.ones(2, dtype=torch.bool),
    )


def test_projection_is_that_of_colmap() -> None:
    points = np.random.default_rng(0).normal(size=(50, 3))
    points[:, 2] = np.abs(points[:, 2]) + 0.05
    lens = [200.0, 210.0, 320.0, 240.0, *FISHEYE.tolist()]
    camera = pycolmap.Camera(model="OPENCV_FISHEYE", width=640, height=480, params=lens)
    found = fisheye_distort(torch.from_numpy(points), FISHEYE).numpy() * lens[:2] + lens[2:4]
    assert np.allclose(found, camera.img_from_cam(points), rtol=0, atol=1e-9)


@pytest.mark.parametrize("degrees", [0.01, 30, 89.9, 90, 110, 140])
def test_rays_point_where_a_root_finder_says(degrees: float) -> None:
    k1, k2, k3, k4 = FISHEYE.tolist()

    def radius_at(angle: float) -> float:
        return angle * (1 + k1 * angle**2 + k2 * angle**4 + k3 * angle**6 + k4 * angle**8)

    radius = radius_at(np.radians(degrees))
    angle = brentq(lambda angle: radius_at(angle) - radius, 0, 2.6, xtol=1e-14)
    point = radius * np.array([[np.cos(0.7), np.sin(0.7)]])
    expected = [np.sin(angle) * np.cos(0.7), np.sin(angle) * np.sin(0.7), np.cos(angle)]
    found = fisheye_undistort(torch.from_numpy(point), FISHEYE)[0].tolist()
    assert found == pytest.approx(expected, abs=1e-10)


@given(st.floats(0, 2.4), st.floats(-3.2, 3.2), st.floats(0.1, 9))
def test_undistorting_inverts_distorting_at_any_angle(angle: float, turn: float, distance: float) -> None:
    direction = torch.tensor(
        [[np.sin(angle) * np.cos(turn), np.sin(angle) * np.sin(turn), np.cos(angle)]], dtype=torch.float64
    )
    found = fisheye_undistort(fisheye_distort(distance * direction, FISHEYE), FISHEYE)
    assert torch.allclose(found, direction, atol=1e-9)


@given(st.floats(0, 320), st.floats(0, 240), st.floats(0.1, 9))
def test_points_on_a_fisheye_ray_project_to_its_pixel(u: float, v: float, distance: float) -> None:
    cameras, pixel = fisheye_cameras(), torch.tensor([[u, v]], dtype=torch.float64)
    origin, direction = cameras.rays(torch.tensor([1]), pixel)
    assert direction.norm() == pytest.approx(1)
    found, depth = cameras.project(1, origin + distance * direction)
    assert torch.allclose(found, pixel, atol=1e-7)
    assert depth == pytest.approx(float(distance * direction[0] @ cameras.rotation[1, :, 2]), abs=1e-9)


def test_pixels_on_the_axis_and_outside_the_lens_have_finite_rays() -> None:
    axis, far = [0.0, 0.0], [40.0, -30.0]
    directions = fisheye_undistort(torch.tensor([axis, far]), FISHEYE.float())
    assert directions[0].tolist() == [0, 0, 1]
    assert directions[1].isfinite().all() and directions[1].norm() == pytest.approx(1)


def test_lenses_of_both_kinds_live_side_by_side() -> None:
    fisheye, opencv = fisheye_cameras(), random_cameras(2)
    both = replace(
        opencv,
        focal=torch.stack([opencv.focal[0], fisheye.focal[1]]),
        distortion=torch.stack([LENS, FISHEYE]),
        fisheye=torch.tensor([False, True]),
    )
    pixels = torch.rand(6, 2, dtype=torch.float64) * 200
    index = torch.tensor([0, 1, 0, 1, 1, 0])
    found = both.rays(index, pixels)[1]
    expected = torch.where(
        (index == 1)[:, None], fisheye.rays(index, pixels)[1], opencv.rays(index, pixels)[1]
    )
    assert torch.allclose(found, expected, atol=1e-14)
    assert both.select([1]).fisheye.tolist() == [True]  # type: ignore[union-attr]
    assert both.to("cpu").fisheye.tolist() == [False, True]  # type: ignore[union-attr]


def test_rays_are_differentiable_in_the_pose() -> None:
    cameras, pixels = fisheye_cameras(), torch.rand(5, 2, dtype=torch.float64) * 200
    index = torch.tensor([0, 1, 1, 0, 1])

    def rays(rotation: torch.Tensor, position: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return replace(cameras, rotation=rotation, position=position).rays(index, pixels)

    pose = (cameras.rotation.requires_grad_(), cameras.position.requires_grad_())
    assert torch.autograd.gradcheck(rays, pose)


@pytest.mark.parametrize("cameras", [random_cameras(2), fisheye_cameras()], ids=["opencv", "fisheye"])
def test_what_an_image_shows_meets_its_view(cameras: Cameras) -> None:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.rand(500, 2, generator=generator, dtype=torch.float64) * cameras.size[0]
    origins, directions = cameras.rays(torch.ones(500, dtype=torch.int64), pixels)
    distance = torch.rand(500, 1, generator=generator, dtype=torch.float64) * 5
    points, radius = origins + distance * directions, torch.full((500,), 1e-9, dtype=torch.float64)
    assert sphere_in_view(cameras, 1, points, radius).all()
    behind = cameras.position[1] - cameras.rotation[1, :, 2]
    beside = [behind + 0.1 * distance[0] * cameras.rotation[1, :, axis] for axis in (0, 1)]
    small, large = torch.full((2,), 0.1).double(), torch.full((2,), 1.2).double()
    assert not sphere_in_view(cameras, 1, torch.stack(beside), small).any()
    assert sphere_in_view(cameras, 1, torch.stack(beside), large).all()  # the camera is inside the ball


@pytest.mark.parametrize("kind", [{"is_fisheye": True}, {"camera_model": "OPENCV_FISHEYE"}])
def test_a_fisheye_scene_is_read(tmp_path: Path, kind: dict[str, object]) -> None:
    path = write_scene(
        tmp_path, size=(80, 60), fl_x=20.0, fl_y=20.0, cx=40.0, cy=30.0, k1=0.1, k3=0.01, **kind
    )
    full, half = read_scene(path).cameras, read_scene(path, downscale=2).cameras
    assert full.fisheye is not None and full.fisheye.all()
    assert full.distortion[0].tolist() == pytest.approx([0.1, 0, 0.01, 0])
    corner, first = torch.tensor([[80.0, 60.0]]), torch.tensor([0])
    assert torch.allclose(full.rays(first, corner)[1], half.rays(first, corner / 2)[1], atol=1e-6)


def test_a_frame_may_have_a_lens_of_its_own(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    content = json.loads(path.read_text())
    content["frames"][1] |= {"camera_model": "OPENCV_FISHEYE"}
    path.write_text(json.dumps(content))
    fisheye = read_scene(path).cameras.fisheye
    assert fisheye is not None and fisheye.tolist() == [False, True, False]
    del content["frames"][1]["camera_model"]
    path.write_text(json.dumps(content))
    assert read_scene(path).cameras.fisheye is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"camera_model": "THIN_PRISM_FISHEYE"}, "camera_model THIN_PRISM_FISHEYE is not supported"),
        ({"is_fisheye": True, "fl_x": None, "camera_angle_x": 1.0}, "fl_x is not given"),
        ({"is_fisheye": True, "p1": 0.1}, "p1 is not part of fisheye lenses"),
        ({"k3": 0.1}, "k3 is not part of OPENCV lenses"),
    ],
)
def test_lenses_that_cannot_be_used_are_named(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write_scene(tmp_path, **changes)  # type: ignore[arg-type]
    with pytest.raises(TriptychError, match=message) as caught:
        read_scene(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
