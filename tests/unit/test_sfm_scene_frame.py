"""From COLMAP's world to instant-ngp's: upright, centred, to size, and still the same pictures."""

import json

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.spatial.transform import Rotation

from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.scenes.normalisation import middle_of_view, normalisation, rotation_between
from triptych.sfm.scene_frame import write_transforms

seeds = st.integers(0, 2**32 - 1)
UP = np.array([0.0, 0.0, 1.0])


def some_poses(seed, count=9):
    rng = np.random.default_rng(seed)
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3)) * 3 + rng.normal(size=3) * 10
    return poses


@given(seeds)
def test_the_normalised_scene_is_upright_centred_and_to_size(seed):
    poses = some_poses(seed)
    after = normalisation(poses).apply(poses)
    turns = after[:, :3, :3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3), atol=1e-9)
    assert np.allclose(np.linalg.det(turns), 1)
    up = turns[:, :, 1].mean(axis=0)
    assert np.allclose(up / np.linalg.norm(up), UP, atol=1e-9)
    assert np.allclose(middle_of_view(after), 0, atol=1e-6)
    assert np.linalg.norm(after[:, :3, 3], axis=1).mean() == pytest.approx(4)


@given(seeds)
@settings(max_examples=20)
def test_relative_poses_survive_up_to_scale(seed):
    poses = some_poses(seed)
    change = normalisation(poses)
    before, after = np.linalg.inv(poses[0]) @ poses, np.linalg.inv((new := change.apply(poses))[0]) @ new
    assert np.allclose(before[:, :3, :3], after[:, :3, :3], atol=1e-9)
    assert np.allclose(change.scale * before[:, :3, 3], after[:, :3, 3], atol=1e-7)


@given(seeds)
@settings(max_examples=10)
def test_the_middle_minimises_the_squared_distances_to_all_view_axes(seed):
    poses = some_poses(seed)

    def cost(point):
        offset = point - poses[:, :3, 3]
        return np.sum(np.cross(offset, poses[:, :3, 2]) ** 2)

    found = minimize(cost, poses[:, :3, 3].mean(axis=0), tol=1e-12)
    assert cost(middle_of_view(poses)) <= found.fun * (1 + 1e-6) + 1e-12


def test_the_middle_is_what_all_cameras_look_at():
    target = np.array([1.0, -2.0, 0.5])
    poses = some_poses(1)
    for pose in poses:
        pose[:3, 3] = target + 3 * pose[:3, 2]
    assert np.allclose(middle_of_view(poses), target)


def test_parallel_cameras_have_their_middle_at_the_mean_camera():
    poses = np.tile(np.eye(4), (4, 1, 1))
    poses[:, :3, 3] = [[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]]
    assert np.allclose(middle_of_view(poses), [0.5, 0.5, 0])


@given(seeds)
def test_the_rotation_between_directions_turns_one_into_the_other(seed):
    a, b = np.random.default_rng(seed).normal(size=(2, 3))
    turn = rotation_between(a, b)
    assert np.linalg.det(turn) == pytest.approx(1)
    assert np.allclose(turn @ a / np.linalg.norm(a), b / np.linalg.norm(b))
    assert np.allclose(turn @ np.cross(a, b), np.cross(a, b))


@pytest.mark.parametrize("direction", [UP, -UP, [1, 0, 0], [0.3, -0.4, 0.5]])
def test_also_for_equal_and_opposite_directions(direction):
    direction = np.array(direction, float)
    for sign in (1, -1):
        turn = rotation_between(sign * direction, direction)
        assert np.allclose(turn @ (sign * direction), direction)
        assert np.linalg.det(turn) == pytest.approx(1)


def model(tmp_path, cameras=1, change=lambda made: None):
    """A made-up COLMAP model, its manifest, and what is written for it."""
    pycolmap.set_random_seed(3)
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_frames_per_rig, options.num_points3D = cameras, 6, 50
    options.camera_model_id = pycolmap.CameraModelId.OPENCV
    options.camera_params = [900.0, 910.0, 500.0, 390.0, 0.05, -0.02, 0.003, -0.001]
    made = pycolmap.synthesize_dataset(options)
    for image in made.images.values():
        image.name = image.name.replace("/", "_")
    change(made)
    (tmp_path / "sfm").mkdir()
    made.write_binary(tmp_path / "sfm")
    names = sorted(image.name for image in made.images.values())
    rows = [ManifestRow(n, name, sharpness=n + 0.5) for n, name in enumerate(names)]
    write_manifest(tmp_path / "frames.csv", rows)
    write_transforms(
        tmp_path / "sfm",
        tmp_path / "frames.csv",
        tmp_path / "transforms.json",
        tmp_path / "sparse.ply",
        tmp_path / "colmap",
        aabb_scale=8,
        provenance={"seed": 3},
    )
    return made, json.loads((tmp_path / "transforms.json").read_text())


def project(point, pose, camera):
    """Where an OpenGL camera with OpenCV distortion sees a point, from the definitions."""
    x, y, z = pose[:3, :3].T @ (point - pose[:3, 3])
    x, y = x / -z, -y / -z
    r2 = x * x + y * y
    radial = 1 + camera["k1"] * r2 + camera["k2"] * r2**2
    dx = x * radial + 2 * camera["p1"] * x * y + camera["p2"] * (r2 + 2 * x * x)
    dy = y * radial + camera["p1"] * (r2 + 2 * y * y) + 2 * camera["p2"] * x * y
    return np.array([camera["fl_x"] * dx + camera["cx"], camera["fl_y"] * dy + camera["cy"]])


def read_cloud(path):
    """Positions and colours in a binary PLY file, from the format's definition."""
    header, body = path.read_bytes().split(b"end_header\n", 1)
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    return np.frombuffer(body, np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)]))


def test_the_files_describe_the_same_pictures_as_the_model(tmp_path):
    _, written = model(tmp_path)
    made = pycolmap.Reconstruction(tmp_path / "sfm")
    cloud = read_cloud(tmp_path / "sparse.ply")
    originals = list(made.points3D.values())
    assert len(cloud) == len(originals) == 50
    by_name = {f"frames/{image.name}": image for image in made.images.values()}
    seen = 0
    for frame in written["frames"]:
        pose = np.array(frame["transform_matrix"])
        for point, original in zip(cloud, originals, strict=True):
            expected = by_name[frame["file_path"]].project_point(original.xyz)
            if expected is not None:
                seen += 1
                assert project(point["xyz"], pose, written) == pytest.approx(expected, abs=0.05)
    assert seen > 100
    # Any program that knows PLY can read it; COLMAP, for one.
    again = pycolmap.Reconstruction()
    again.import_PLY(tmp_path / "sparse.ply")
    assert again.num_points3D() == 50


def test_the_file_has_instant_ngps_keys(tmp_path):
    _, written = model(tmp_path)
    assert (written["fl_x"], written["fl_y"], written["cx"], written["cy"]) == (900, 910, 500, 390)
    assert (written["k1"], written["k2"], written["p1"], written["p2"]) == (0.05, -0.02, 0.003, -0.001)
    assert (written["w"], written["h"], written["aabb_scale"]) == (1024, 768, 8)
    assert [frame["sharpness"] for frame in written["frames"]] == [n + 0.5 for n in range(6)]
    paths = [frame["file_path"] for frame in written["frames"]]
    assert paths == sorted(paths)
    assert written["provenance"] == {"seed": 3}


def test_several_cameras_have_their_intrinsics_with_each_frame(tmp_path):
    def differ(made):
        made.cameras[2].params = [700.0, *made.cameras[2].params[1:]]

    _, written = model(tmp_path, cameras=2, change=differ)
    assert "fl_x" not in written and written["camera_model"] == "OPENCV"
    assert {frame["fl_x"] for frame in written["frames"]} == {900, 700}
    assert all(frame["w"] == 1024 for frame in written["frames"])
