"""A scene whose photographs look past its box is told so, with the values that would do."""

import json
import logging
import re
from pathlib import Path

import numpy as np
import pytest
from sphere_scene import write_ball_scene

from triptych.config.reconstruction import Radiance
from triptych.radiance.model import RadianceModel
from triptych.scenes.scene import read_scene
from triptych.workflow.errors import TriptychError

RECIPE = Radiance(downscale=1, device="cpu", levels=2, log2_table=8, occupancy_resolution=16)


def moved_scene(folder: Path, *, factor: float = 1, offset: float = 0, axes: float = 1) -> Path:
    """The ball's scene in other units, elsewhere, or with OpenCV's axes (-1)."""
    path = write_ball_scene(folder, images=16)
    content = json.loads(path.read_text())
    for frame in content["frames"]:
        pose = np.array(frame["transform_matrix"]) * [1, axes, axes, 1]
        pose[:3, 3] = pose[:3, 3] * factor + offset
        frame["transform_matrix"] = pose.tolist()
    path.write_text(json.dumps(content))
    return path


def change(path: Path, text: str) -> Path:
    """The scene file with the values that a message names."""
    values = json.loads("{" + re.sub(r"\b(aabb_scale):", r'"\1":', text) + "}")
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return path


def test_a_scene_that_fits_is_measured_and_nothing_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = RadianceModel(read_scene(moved_scene(tmp_path / "a")), RECIPE)
    assert model.rays_in_box > 0.9 and not caplog.text


def test_a_scene_in_other_units_is_told_the_box_that_would_do(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = moved_scene(tmp_path / "a", factor=4)
    with caplog.at_level(logging.WARNING):
        assert RadianceModel(read_scene(path), RECIPE).rays_in_box < 0.5
    advice = re.search(r"of the training rays cross .*; (aabb_scale: \d+) would do", caplog.text)
    assert advice is not None
    assert RadianceModel(read_scene(change(path, advice[1])), RECIPE).rays_in_box >= 0.9


def test_a_scene_far_away_is_told_the_scale_and_offset_that_would_do(tmp_path: Path) -> None:
    path = moved_scene(tmp_path / "a", offset=5_400_000)
    with pytest.raises(TriptychError, match="0% of the training rays cross the scene's box") as caught:
        RadianceModel(read_scene(path), RECIPE)
    assert "\n" not in str(caught.value)
    advice = re.search(r'"aabb_scale".*\]', str(caught.value))
    assert advice is not None
    scene = read_scene(change(path, advice[0]))
    assert RadianceModel(scene, RECIPE).rays_in_box == 1
    assert float((scene.cameras.position - 0.5).norm(dim=1).mean()) == pytest.approx(4 * 0.33, abs=0.01)


@pytest.mark.parametrize(
    ("axes", "inwards", "warned"), [(-1, True, True), (1, True, False), (1, False, False)]
)
def test_cameras_within_the_box_are_told_of_their_axes_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, axes: float, inwards: bool, warned: bool
) -> None:
    path = moved_scene(tmp_path / "a", axes=axes)
    content = json.loads(path.read_text()) | {"aabb_scale": 8}
    if not inwards:  # upright cameras that look outwards, as in the middle of a room
        for frame in content["frames"]:
            frame["transform_matrix"] = (np.array(frame["transform_matrix"]) * [-1, 1, -1, 1]).tolist()
    path.write_text(json.dumps(content))
    assert RadianceModel(read_scene(path), RECIPE).rays_in_box == 1
    assert ("all cameras are upside down" in caplog.text) == warned


def test_rays_that_begin_behind_the_box_are_told_of_near(tmp_path: Path) -> None:
    with pytest.raises(TriptychError, match="near: 5 is beyond it; lower it"):
        RadianceModel(read_scene(moved_scene(tmp_path / "a")), RECIPE.model_copy(update={"near": 5.0}))


def test_cameras_that_look_away_are_told_of_their_axes(tmp_path: Path) -> None:
    path = moved_scene(tmp_path / "a", axes=-1)
    with pytest.raises(TriptychError, match="look away from it: give transform_matrix OpenGL's axes"):
        RadianceModel(read_scene(path), RECIPE)
