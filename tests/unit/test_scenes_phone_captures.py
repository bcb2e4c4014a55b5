"""Captures of Record3D and Polycam."""

import json
from pathlib import Path

import numpy as np
import pytest
from changed_scene import message_of, scene
from PIL import Image
from scipy.spatial.transform import Rotation
from sphere_scene import ring_of_poses
from test_scenes_import import take

from triptych.scenes.known_poses import poses_fingerprint


def phone_pose(number: int) -> np.ndarray:
    """A pose in ARKit's world, y up, of the ring whose world is z up."""
    return ring_of_poses(3)[number][[1, 2, 0]]


def test_a_record3d_capture_is_read(tmp_path: Path) -> None:
    (tmp_path / "rgb").mkdir()
    poses = []
    for number in range(3):
        Image.new("RGB", (30, 40)).save(tmp_path / f"rgb/{number}.jpg")
        pose = phone_pose(number)
        poses.append([*Rotation.from_matrix(pose[:, :3]).as_quat(), *pose[:, 3]])
    metadata = {"w": 30, "h": 40, "K": [35, 0, 0, 0, 36, 0, 14, 21, 1], "poses": poses, "fps": 30}
    (tmp_path / "metadata.json").write_text(json.dumps(metadata))
    imported = take(tmp_path, tmp_path / "results")
    assert imported.cameras.focal[0].tolist() == [35, 36] and imported.cameras.centre[0].tolist() == [14, 21]
    expected = take(scene(tmp_path / "ball"), tmp_path / "expected")
    assert np.allclose(imported.cameras.rotation, expected.cameras.rotation, atol=1e-6)
    distance = (imported.cameras.position - 0.5).norm(dim=1)
    assert imported.aabb_scale == 4 and float(distance.mean()) == pytest.approx(4 * 0.33, rel=0.05)
    (tmp_path / "metadata.json").write_text(json.dumps({**metadata, "poses": [[0, 0, 0, 1, 0, 0, 0]] * 3}))
    assert "all cameras are in one place, so the app did not track them" in message_of(tmp_path)


def test_a_raw_polycam_capture_is_read(tmp_path: Path) -> None:
    for name in ("corrected_cameras", "corrected_images", "cameras"):
        (tmp_path / "keyframes" / name).mkdir(parents=True)
    for number in range(4):
        Image.new("RGB", (40, 30)).save(tmp_path / f"keyframes/corrected_images/{number}.jpg")
        entries = {
            f"t_{row}{column}": phone_pose(number % 3)[row, column] for row in range(3) for column in range(4)
        }
        camera = {**entries, "fx": 35.0, "fy": 36.0, "cx": 20.5, "cy": 14, "width": 40, "height": 30}
        camera["blur_score"] = 20 if number == 3 else 30
        (tmp_path / f"keyframes/corrected_cameras/{number}.json").write_text(json.dumps(camera))
    before = poses_fingerprint(tmp_path)
    imported = take(tmp_path, tmp_path / "results")
    assert imported.names == ["0", "1", "2"], "3 is blurred"
    assert imported.cameras.size[0].tolist() == [38, 28], "a border of a fiftieth is cropped"
    assert imported.cameras.centre[0].tolist() == [19.5, 13]
    expected = take(scene(tmp_path / "ball"), tmp_path / "expected")
    assert np.allclose(imported.cameras.rotation, expected.cameras.rotation, atol=1e-6)
    (tmp_path / "keyframes/corrected_cameras/1.json").write_text(json.dumps({**camera, "fx": 34.0}))
    assert poses_fingerprint(tmp_path) != before
    (tmp_path / "keyframes/corrected_cameras/1.json").write_text("{}")
    assert "1.json: not a valid transforms.json (camera of Polycam: KeyError" in message_of(tmp_path)
