"""Pose errors, against errors put in on purpose."""

import json

import numpy as np
import pycolmap
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from triptych.sfm.pose_error import compare_poses, read_poses
from triptych.workflow.errors import TriptychError

seeds = st.integers(0, 2**32 - 1)


def some_poses(rng, count=12):
    poses = np.tile(np.eye(4), (count, 1, 1))
    poses[:, :3, :3] = Rotation.random(count, rng=rng).as_matrix()
    poses[:, :3, 3] = rng.normal(size=(count, 3))
    return {f"{number:03d}": pose for number, pose in enumerate(poses)}


def moved(poses, scale, rotation, translation):
    result = {}
    for name, pose in poses.items():
        other = np.eye(4)
        other[:3, :3] = rotation @ pose[:3, :3]
        other[:3, 3] = scale * rotation @ pose[:3, 3] + translation
        result[name] = other
    return result


@given(seeds)
@settings(max_examples=10)
def test_cameras_may_be_in_a_plane_but_not_on_a_line(seed):
    rng = np.random.default_rng(seed)
    reference = some_poses(rng)
    for pose in reference.values():
        pose[2, 3] = 0
    estimated = moved(reference, 0.3, Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))
    assert compare_poses(estimated, reference)["max_position_percent"] < 1e-8
    for pose in reference.values():
        pose[1, 3] = 0
    with pytest.raises(TriptychError, match="12 cameras on one line determine no alignment"):
        compare_poses(estimated, reference)


@given(seeds)
@settings(max_examples=20)
def test_equal_cameras_in_another_world_have_no_error(seed):
    rng = np.random.default_rng(seed)
    theirs = some_poses(rng)
    ours = moved(theirs, 3.7, Rotation.random(rng=rng).as_matrix(), rng.normal(size=3))
    error = compare_poses(ours, theirs)
    assert error["images"] == 12
    assert error["max_rotation_degrees"] < 1e-5
    assert error["max_position_percent"] < 1e-8


def test_known_errors_are_measured_in_degrees_and_percent_of_the_span():
    # Cameras on a square of diagonal 10; opposite pairs move along the normal in turn, by 0.1:
    # no similarity takes that away, and every camera is 1 % of the span off.
    corners = np.array([[5, 0, 0], [0, 5, 0], [-5, 0, 0], [0, -5, 0]], float)
    theirs = {str(number): np.eye(4) for number in range(4)}
    ours = {str(number): np.eye(4) for number in range(4)}
    for number, corner in enumerate(corners):
        theirs[str(number)][:3, 3] = corner
        ours[str(number)][:3, 3] = corner + 0.1 * (-1) ** number * np.array([0, 0, 1])
    ours["3"][:3, :3] = Rotation.from_euler("y", 2, degrees=True).as_matrix()
    error = compare_poses(ours, theirs)
    assert error["camera_span"] == pytest.approx(10)
    assert error["median_position_percent"] == pytest.approx(1, rel=1e-3)
    assert error["max_position_percent"] == pytest.approx(1, rel=1e-3)
    assert error["median_rotation_degrees"] == pytest.approx(0, abs=1e-4)
    assert error["max_rotation_degrees"] == pytest.approx(2, rel=1e-3)


def test_frames_are_matched_by_name_and_too_few_are_told(tmp_path):
    poses = some_poses(np.random.default_rng(0))
    frames = [
        {"file_path": f"./images/shot {name}.jpg", "transform_matrix": pose.tolist()}
        for name, pose in poses.items()
    ]
    (tmp_path / "reference.json").write_text(json.dumps({"frames": frames}))
    theirs = read_poses(tmp_path / "reference.json")
    ours = {f"shot_{name}": poses[name] for name in ("001", "004", "007", "011")}
    assert compare_poses(ours, theirs)["images"] == 4
    with pytest.raises(TriptychError, match=r"only 0 of 12 frames .* '000' here and 'shot_000' there"):
        compare_poses(poses, theirs)


@pytest.mark.parametrize("content", [None, "{", '{"images": []}', '{"frames": [{"file_path": "a"}]}', "[]"])
def test_a_reference_that_is_none_is_told(tmp_path, content):
    path = tmp_path / "reference.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TriptychError, match=r"reference\.json: not a transforms\.json"):
        read_poses(path)


@given(seeds)
@settings(max_examples=20)
def test_the_alignment_is_that_of_colmap_where_there_is_noise(seed):
    rng = np.random.default_rng(seed)
    estimated, reference = some_poses(rng), some_poses(rng)  # unrelated: a mirrored solution is often better
    centres, target = (np.stack(list(poses.values()))[:, :3, 3] for poses in (estimated, reference))
    distances = np.linalg.norm(pycolmap.estimate_sim3d(centres, target) * centres - target, axis=1)
    error = compare_poses(estimated, reference)
    assert error["max_position_percent"] == pytest.approx(100 * distances.max() / error["camera_span"])
    assert error["median_position_percent"] == pytest.approx(
        100 * np.median(distances) / error["camera_span"]
    )
