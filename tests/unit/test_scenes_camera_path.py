"""Recorded paths: the file, the world's coordinates, and the cameras in between."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from scipy.spatial.transform import Rotation
from sphere_scene import ring_of_poses, write_ball_scene

from triptych.config.validation import validate_config
from triptych.scenes.camera_path import keyframe_path
from triptych.scenes.coordinates import World
from triptych.scenes.keyframes import CameraPath, Keyframe, read_camera_path, write_camera_path
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT

WORLD = World(0.33, np.full(3, 0.5))
RING = CameraPath(
    tuple(Keyframe(pose, 40.0 + 5 * number) for number, pose in enumerate(ring_of_poses(12)[:5])),
    seconds=4.0,
    fps=12.0,
    aspect=1.5,
)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "deep/path.json"
    write_camera_path(file, RING, scene="ball")
    back = read_camera_path(file)
    assert (back.seconds, back.fps, back.aspect) == (4.0, 12.0, 1.5)
    assert [keyframe.fov for keyframe in back.keyframes] == [40, 45, 50, 55, 60]
    assert all(np.array_equal(a.pose, b.pose) for a, b in zip(back.keyframes, RING.keyframes, strict=True))
    assert json.loads(file.read_text())["scene"] == "ball"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"format": "other"}, "its format is other"),
        ({"keyframes": []}, "it has 0 keyframes; it needs 2"),
        ({"fps": 0}, "fps is 0"),
        ({"seconds": None}, "not a camera path"),
        ({"keyframes": [{"transform_matrix": [[1, 2], [3, 4]], "fov": 40}] * 2}, "4 rows of 4"),
        ({"keyframes": [{"transform_matrix": np.ones((4, 4)).tolist(), "fov": 40}] * 2}, "does not rotate"),
        ({"keyframes": [{"transform_matrix": np.eye(4).tolist(), "fov": 200}] * 2}, "fov is 200"),
    ],
)
def test_a_file_that_is_no_path_is_refused_in_one_line(
    tmp_path: Path, change: dict[str, Any], complaint: str
) -> None:
    file = tmp_path / "path.json"
    write_camera_path(file, RING, scene="ball")
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(TriptychError, match=complaint) as caught:
        read_camera_path(file)
    assert "\n" not in str(caught.value)


def test_a_path_of_another_scene_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "path.json"
    write_camera_path(file, RING, scene="ball")
    assert read_camera_path(file, scene="ball").seconds == read_camera_path(file).seconds == 4.0
    with pytest.raises(TriptychError, match="recorded in scene ball, not in fox; record it there") as caught:
        read_camera_path(file, scene="fox")
    assert "\n" not in str(caught.value)


def test_a_missing_path_says_where_paths_come_from(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="record a camera path"):
        read_camera_path(tmp_path / "none.json")


def test_the_world_is_that_of_the_scene_file(tmp_path: Path) -> None:
    file = write_ball_scene(tmp_path / "ball", images=6, side=8)
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "scale": 0.2, "offset": [0.5, 0.4, 0.3]}))
    world, scene = read_scene_file(file).world, read_scene(file)
    for number, pose in enumerate(ring_of_poses(6)):
        rotation, position = world.camera(pose)
        assert torch.allclose(torch.from_numpy(position).float(), scene.cameras.position[number], atol=1e-6)
        assert torch.allclose(torch.from_numpy(rotation).float(), scene.cameras.rotation[number], atol=1e-6)
        assert np.allclose(world.pose(rotation, position), pose)


def test_the_path_passes_its_keyframes_and_stays_smooth() -> None:
    cameras = keyframe_path(RING, WORLD, frames=401, width=60)
    assert cameras.size.tolist() == [[60, 40]] * 401
    for keyframe, exact in zip(RING.keyframes, (0, None, None, None, 400), strict=True):
        rotation, position = WORLD.camera(keyframe.pose)
        nearest = int(np.linalg.norm(cameras.position.numpy() - position, axis=1).argmin())
        assert exact is None or nearest == exact
        assert np.allclose(cameras.position[nearest], position, atol=5e-3)
        off = Rotation.from_matrix(cameras.rotation[nearest].double().numpy().T @ rotation).magnitude()
        assert off < 0.02
        fov = math.degrees(2 * math.atan(20 / float(cameras.focal[nearest, 1])))
        assert fov == pytest.approx(keyframe.fov, abs=0.3)
    steps = cameras.position.diff(dim=0).norm(dim=-1)
    assert steps.max() < 1.5 * steps.mean()
    assert torch.equal(cameras.focal[:, 0], cameras.focal[:, 1])


@pytest.mark.parametrize("same", ["pose", "place"])
def test_standing_still_is_no_trouble(same: str) -> None:
    pose, turned = np.eye(4), np.eye(4)
    turned[:3, :3] = Rotation.from_euler("y", 0.5 if same == "place" else 0.0).as_matrix()
    path = CameraPath((Keyframe(pose, 40.0), Keyframe(turned, 60.0), Keyframe(pose, 40.0)), 2.0, 10.0, 1.0)
    cameras = keyframe_path(path, WORLD, frames=21, width=20)
    assert torch.isfinite(cameras.position).all() and torch.isfinite(cameras.rotation).all()
    assert torch.allclose(cameras.position, torch.full((21, 3), 0.5), atol=1e-6)


def test_the_home_folder_may_be_written_as_a_tilde() -> None:
    config = yaml.safe_load((SOURCE_ROOT.parent / "config.yaml").read_text())
    for owner in (config["reconstruction"], config["scenes"]["orbit"]):
        owner.setdefault("flythrough", {})["path"] = "~/path.json"
    validate_config(config)
    for owner in (config["reconstruction"], config["scenes"]["orbit"]):
        assert owner["flythrough"]["path"] == str(Path.home() / "path.json")
