"""Cameras: distortion, rays and projections, and the scene file they come from."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from sphere_scene import write_ball_scene

from triptych.data.image_files import natural_order
from triptych.radiance.evaluate import check_sides
from triptych.scenes.cameras import Cameras
from triptych.scenes.images import read_image
from triptych.scenes.lenses import distort, max_radius, undistort
from triptych.scenes.scene import read_scene
from triptych.workflow.errors import TriptychError

LENS = torch.tensor([0.0578, -0.0805, -0.00098, 0.00016], dtype=torch.float64)


def write_scene(folder: Path, *, images: int = 3, size: tuple[int, int] = (8, 6), **changes: object) -> Path:
    """A scene of plain images; `changes` replace keys of the file, None removes them."""
    frames = []
    for number in range(images):
        Image.new("RGB", size, (10 * number, 20, 30)).save(folder / f"{number:03d}.png")
        pose = np.eye(4)
        pose[:3, 3] = [number, 2.0, 3.0]
        frames.append({"file_path": f"{number:03d}.png", "transform_matrix": pose.tolist()})
    content = {"fl_x": 10.0, "fl_y": 11.0, "cx": 4.0, "cy": 3.0, "w": size[0], "h": size[1], "frames": frames}
    content = {key: value for key, value in {**content, **changes}.items() if value is not None}
    path = folder / "transforms.json"
    path.write_text(json.dumps(content))
    return path


@given(st.floats(-0.6, 0.6), st.floats(-0.9, 0.9))
def test_undistort_inverts_distort(x: float, y: float) -> None:
    point = torch.tensor([[x, y]], dtype=torch.float64)
    assert torch.allclose(undistort(distort(point, LENS), LENS), point, atol=1e-12)


@pytest.mark.parametrize("lens", [(-0.3, 0.0), (-0.3, 0.02), (0.1, -0.2), (0.0, -0.1)])
@pytest.mark.parametrize("radius", [0.9, 1.5, 4.0, 100.0])
def test_beyond_the_fold_of_a_lens_rays_stay_at_it(lens: tuple[float, float], radius: float) -> None:
    coefficients = torch.tensor([[*lens, 0.0, 0.0]])
    direction, edge = torch.tensor([[0.6, -0.8]]), max_radius(coefficients)[0]
    last = distort(edge * direction, coefficients)  # as far out as the lens shows anything
    assert torch.allclose(undistort(last + radius * direction, coefficients), edge * direction, rtol=1e-4)
    within = undistort(0.9 * last, coefficients)
    assert within.norm() < edge
    assert torch.allclose(distort(within, coefficients), 0.9 * last, atol=1e-6)


@given(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
def test_a_lens_is_one_to_one_up_to_its_fold(k1: float, k2: float) -> None:
    coefficients = torch.tensor([k1, k2, 0.0, 0.0], dtype=torch.float64)
    edge = min(3.0, max_radius(coefficients).item())
    radii = torch.linspace(0, 1, 200, dtype=torch.float64)
    points = torch.stack([radii * edge, torch.zeros_like(radii)], dim=-1)
    assert distort(points, coefficients)[:, 0].diff().min() > 0


def test_distortion_follows_the_published_polynomial() -> None:
    x, y, (k1, k2, p1, p2) = 0.3, -0.2, LENS.tolist()
    r2 = 0.3**2 + 0.2**2
    expected = [
        x * (1 + k1 * r2 + k2 * r2**2) + 2 * p1 * x * y + p2 * (r2 + 2 * x**2),
        y * (1 + k1 * r2 + k2 * r2**2) + 2 * p2 * x * y + p1 * (r2 + 2 * y**2),
    ]
    found = distort(torch.tensor([[x, y]], dtype=torch.float64), LENS)[0].tolist()
    assert found == pytest.approx(expected, abs=1e-15)


def random_cameras(count: int = 4) -> Cameras:
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator, dtype=torch.float64)).Q
    return Cameras(
        focal=torch.tensor([[300.0, 310.0]], dtype=torch.float64).repeat(count, 1),
        centre=torch.tensor([[161.0, 118.0]], dtype=torch.float64).repeat(count, 1),
        distortion=LENS.repeat(count, 1),
        rotation=rotation * torch.linalg.det(rotation)[:, None, None],
        position=torch.randn(count, 3, generator=generator, dtype=torch.float64),
        size=torch.tensor([[320, 240]]).repeat(count, 1),
    )


@given(st.integers(0, 3), st.floats(0, 320), st.floats(0, 240), st.floats(0.1, 9))
def test_points_on_a_ray_project_to_its_pixel(camera: int, u: float, v: float, distance: float) -> None:
    cameras = random_cameras()
    pixel = torch.tensor([[u, v]], dtype=torch.float64)
    origin, direction = cameras.rays(torch.tensor([camera]), pixel)
    assert direction.norm() == pytest.approx(1)
    found, depth = cameras.project(camera, origin + distance * direction)
    assert torch.allclose(found, pixel, atol=1e-8)
    assert 0 < depth <= distance + 1e-9


def test_image_rays_run_row_by_row_through_pixel_centres() -> None:
    cameras = random_cameras()
    _, directions = cameras.image_rays(2)
    _, one = cameras.rays(torch.tensor([2]), torch.tensor([[7.5, 3.5]], dtype=torch.float64))
    assert directions.shape == (320 * 240, 3)
    assert torch.equal(directions[3 * 320 + 7], one[0])


def test_scene_file_is_read_in_opengl_axes_and_scaled_to_the_unit_cube(tmp_path: Path) -> None:
    scene = read_scene(write_scene(tmp_path, k1=0.1))
    origin, direction = scene.cameras.rays(torch.tensor([1]), torch.tensor([[4.0, 3.0]]))
    assert origin[0].tolist() == pytest.approx([0.33 + 0.5, 0.66 + 0.5, 0.99 + 0.5])
    assert direction[0].tolist() == pytest.approx([0, 0, -1])  # an OpenGL camera looks along -z
    _, up = scene.cameras.rays(torch.tensor([1]), torch.tensor([[4.0, 0.0]]))
    assert up[0, 1] > 0  # the top of the image is up


def test_downscaling_keeps_the_field_of_view(tmp_path: Path) -> None:
    path = write_scene(tmp_path, size=(80, 60), w=80, h=60, cx=41.0, cy=29.0)
    full, half = read_scene(path).cameras, read_scene(path, downscale=2).cameras
    assert half.size[0].tolist() == [40, 30]
    corner = torch.tensor([[80.0, 60.0]])
    assert torch.allclose(
        full.rays(torch.tensor([0]), corner)[1], half.rays(torch.tensor([0]), corner / 2)[1], atol=1e-7
    )


def test_focal_length_follows_from_the_angle_of_view(tmp_path: Path) -> None:
    scene = read_scene(write_scene(tmp_path, fl_x=None, fl_y=None, camera_angle_x=math.pi / 2))
    assert scene.cameras.focal[0].tolist() == pytest.approx([4.0, 4.0])


def test_both_angles_of_view_count(tmp_path: Path) -> None:
    angles = {"camera_angle_x": math.pi / 2, "camera_angle_y": math.pi / 3}
    scene = read_scene(write_scene(tmp_path, fl_x=None, fl_y=None, **angles))
    width, height = scene.cameras.size[0].tolist()
    expected = [width / 2, height / 2 / math.tan(math.pi / 6)]
    assert scene.cameras.focal[0].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fl_x": "wide"}, "fl_x is 'wide'; it must be a finite number"),
        ({"k1": [0.1]}, r"k1 is \[0.1\]; it must be a finite number"),
        ({"cx": float("nan")}, "cx is nan; it must be a finite number"),
        ({"fl_x": -3.0}, "the focal length is -3; it must be above 0"),
        ({"w": 0}, "w x h is 0x6; both must be above 0"),
    ],
)
def test_a_lens_that_makes_no_sense_is_one_clear_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    with pytest.raises(TriptychError, match=message):
        read_scene(write_scene(tmp_path, **change))


def test_intrinsics_of_a_frame_come_before_common_ones(tmp_path: Path) -> None:
    path = write_scene(tmp_path)
    content = json.loads(path.read_text())
    content["frames"][1]["fl_x"] = 99.0
    path.write_text(json.dumps(content))
    assert read_scene(path).cameras.focal[:, 0].tolist() == [10.0, 99.0, 10.0]


def test_every_eighth_image_by_name_is_held_out(tmp_path: Path) -> None:
    training, heldout = read_scene(write_scene(tmp_path, images=18)).split(8)
    assert heldout == [0, 8, 16]
    assert sorted(training + heldout) == list(range(18))


def test_numbers_in_names_count_by_their_value(tmp_path: Path) -> None:
    path = write_scene(tmp_path, images=12)
    content = json.loads(path.read_text())
    for number, frame in enumerate(content["frames"]):
        frame["file_path"] = f"im_{number + 1}.png"
        (tmp_path / f"{number:03d}.png").rename(tmp_path / frame["file_path"])
    content["frames"] = content["frames"][::-1]  # as some programs write them
    path.write_text(json.dumps(content))
    scene = read_scene(path)
    assert scene.names == [f"im_{number + 1}" for number in range(12)]
    assert scene.cameras.position[:, 0].diff().min() > 0  # each with its own pose


@given(st.lists(st.integers(0, 9999), unique=True))
def test_padded_numbers_sort_as_text(numbers: list[int]) -> None:
    names = [f"images/{number:04d}.jpg" for number in numbers]
    assert sorted(names, key=natural_order) == sorted(names)


@pytest.mark.parametrize(
    "pose", [np.diag([-1.0, 1, 1, 1]), np.zeros((4, 4)), np.diag([1.0, 1, 0, 1]), np.ones((4, 4))]
)
def test_a_pose_that_mirrors_or_flattens_is_one_clear_line(tmp_path: Path, pose: np.ndarray) -> None:
    path = write_scene(tmp_path)
    content = json.loads(path.read_text())
    content["frames"][1]["transform_matrix"] = pose.tolist()
    path.write_text(json.dumps(content))
    with pytest.raises(
        TriptychError, match=r"frame 001\.png: transform_matrix .* mirrors or flattens"
    ) as caught:
        read_scene(path)
    assert "\n" not in str(caught.value)


def test_absent_images_are_left_out_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_scene(tmp_path)
    (tmp_path / "001.png").unlink()
    assert read_scene(path).names == ["000", "002"]
    assert "1 of 3 images are left out" in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": None}, "transforms.json .the key 'frames' is missing"),
        ({"fl_x": None}, "neither fl_x nor camera_angle_x"),
        ({"aabb_scale": 3}, "power of two"),
        ({"w": 6, "h": 8}, "images of the calibrated shape"),
        ({"images": 1}, "at least 2 are needed"),
    ],
)
def test_bad_scene_files_end_in_one_clear_line(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = write_scene(tmp_path, **changes)  # type: ignore[arg-type]
    with pytest.raises(TriptychError, match=message) as caught:
        read_scene(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_broken_files_end_in_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="not found"):
        read_scene(tmp_path / "absent.json")
    path = write_scene(tmp_path)
    (tmp_path / "002.png").write_bytes(b"no image")
    with pytest.raises(TriptychError, match=r"002\.png: cannot be read as an image"):
        read_scene(path)
    path.write_text("{")
    with pytest.raises(TriptychError, match="not a valid"):
        read_scene(path)


def test_images_shrink_by_averaging(tmp_path: Path) -> None:
    checks = np.indices((4, 4)).sum(0) % 2 * 255
    Image.fromarray(checks.astype(np.uint8)).save(tmp_path / "checks.png")
    image = read_image(tmp_path / "checks.png", (2, 2))
    assert image.shape == (2, 2, 3)
    assert ((image == 127) | (image == 128)).all()


def test_images_too_small_to_compare_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match=r"downscale 2 leaves images with a side of 6 pixels.* needs 11"):
        check_sides(read_scene(write_ball_scene(tmp_path / "small", images=2, side=12), downscale=2), 2)
    check_sides(read_scene(write_ball_scene(tmp_path / "enough", images=2, side=22), downscale=2), 2)
