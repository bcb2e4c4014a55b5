"""Scene files as other programs write them: text, values, lenses and poses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from changed_scene import each, message_of, renamed, scene
from PIL import Image
from test_scenes_import import take

from triptych.scenes import scene_files, scene_json
from triptych.scenes.scene_files import read_scene_file


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_any_unicode_encoding_is_read(tmp_path: Path, encoding: str) -> None:
    path = scene(tmp_path)
    path.write_text(path.read_text(), encoding=encoding)
    assert len(read_scene_file(path).used) == 3


def test_comments_are_allowed_as_in_instant_ngp(tmp_path: Path) -> None:
    path = scene(tmp_path, lambda content: content.update(note="http://host /* kept */"))
    path.write_text("// by hand\n" + path.read_text().replace("{", "{ /* here */", 1))
    assert read_scene_file(path).frames[0].values["note"] == "http://host /* kept */"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"frames": ' + '{"a": ' * 100_000, "nested too deeply"),
        ("[]", "not an object with frames"),
        ('{"frames": {}}', "frames is not a list"),
        ('{"frames": [3]}', "frame 0 is not an object"),
        ('{"frames": [{"file_path": null}]}', "the file_path of frame 0 is missing"),
        ('{"frames": [{"file_path": ["a"]}]}', "the file_path of frame 0 is missing"),
        ('{"frames": [], "aabb_scale": 1e400}', "aabb_scale is inf"),
        ('{"frames": [], "aabb_scale": ' + "9" * 400 + "}", "aabb_scale is 999"),
        ('{"frames": [], "aabb_scale": ' + "9" * 5000 + "}", "not a valid transforms.json"),
        ('{"frames": [], "aabb_scale": 2.5}', "aabb_scale is 2.5; it must be a power of two"),
        ('{"frames": [], "aabb_scale": 0.5}', "aabb_scale is 0.5"),
        ('{"frames": [], "aabb_scale": true}', "aabb_scale is True"),
        ('{"frames": [], "scale": NaN}', "scale is nan"),
        ('{"frames": [], "scale": 0}', "scale is 0; it must be above 0"),
        ('{"frames": [], "scale": -1}', "scale is -1"),
        ('{"frames": [], "scale": "\\ud800"}', "scale is '\\ud800'"),
        ('{"frames": [], "offset": [0, 1e999, 0]}', "offset must have 3 finite numbers"),
        ('{"frames": [], "offset": [0, 0]}', "offset must have 3 finite numbers"),
        ('{"frames": [], "aabb": [[0, 0, 0]]}', "aabb must have 2 x 3 finite numbers"),
        ('{"frames": [], "train_filenames": [1]}', "train_filenames must be a list of paths"),
    ],
)
def test_impossible_values_are_one_clear_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "transforms.json").write_text(text)
    assert message in message_of(tmp_path / "transforms.json")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("transform_matrix", [[1e400] * 4] * 4, "4 rows of 4 finite numbers"),
        ("transform_matrix", [[10**400] * 4] * 4, "4 rows of 4 finite numbers"),
        ("transform_matrix", np.diag([1, 1, 2.0, 1]).tolist(), "stretches the camera"),
        ("transform_matrix", (np.eye(4) + np.eye(4, k=1)).tolist(), "does not turn a camera"),
        (
            "transform_matrix",
            np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [5, 6, 7, 1]]).tolist(),
            "row by row",
        ),
        ("transform_matrix", [[1, 0, 0, 1e30], [0, 1, 0, 0], [0, 0, 1, 0]], "unit cubes away"),
        ("fl_x", 1e400, "fl_x is inf"),
        ("fl_x", "wide", "fl_x is 'wide'"),
        ("fl_x", 0, "the focal length is 0"),
        ("k1", None, "k1 is None"),
        ("is_fisheye", "false", "is_fisheye is 'false'"),
        ("camera_model", "EQUIRECTANGULAR", "camera_model EQUIRECTANGULAR is not supported"),
        ("camera_model", ["\ud800"], "is not supported"),
        ("latlong", True, "lenses by latlong are not supported"),
        ("mask_path", "a\nb", "its mask a b does not exist"),
        ("split", {"a": 1}, "it must be train or test"),
    ],
)
def test_impossible_frames_are_one_clear_line(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = scene(tmp_path, lambda content: content["frames"][1].update({key: value}))
    assert "frame frames/001.png: " in message_of(path) and message in message_of(path)


def test_files_and_lists_that_are_too_long_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene(tmp_path)
    monkeypatch.setattr(scene_files, "MAX_FRAMES", 2)
    assert "3 frames; at most 2 can be read" in message_of(path)
    monkeypatch.setattr(scene_json, "MAX_BYTES", 100)
    assert "larger than 0 MiB" in message_of(path)


def test_numbers_may_be_written_as_text(tmp_path: Path) -> None:
    path = scene(tmp_path, lambda content: content.update(fl_x="48.0", aabb_scale="2"))
    imported = take(path, tmp_path / "results")
    assert imported.cameras.focal[0].tolist() == [48, 48] and imported.aabb_scale == 2


def test_a_scale_of_the_matrix_is_removed(tmp_path: Path) -> None:
    def scaled(frame: dict[str, Any]) -> None:
        matrix = np.array(frame["transform_matrix"])
        matrix[:3, :3] *= 7
        frame["transform_matrix"] = matrix.tolist()

    plain = take(scene(tmp_path / "a"), tmp_path / "plain").cameras
    other = take(scene(tmp_path / "b", each(scaled)), tmp_path / "scaled").cameras
    assert np.allclose(plain.rotation, other.rotation, atol=1e-6)
    assert np.array_equal(plain.position, other.position)


def world_of(path: Path) -> tuple[float, list[float]]:
    content = read_scene_file(path)
    return content.world.scale, content.world.offset.tolist()


def test_instant_ngps_other_keys_for_the_box_are_read(tmp_path: Path) -> None:
    box = scene(tmp_path / "a", lambda content: content.update(aabb=[[0, 0, 0], [4, 2, 2]]))
    assert world_of(box) == (0.25, [0, 0.25, 0.25])
    assert world_of(scene(tmp_path / "b", lambda content: content.update(offset=0.25))) == (0.33, [0.25] * 3)
    mitsuba = scene(tmp_path / "c", lambda content: content.update(normal_mts_args=[]))
    assert world_of(mitsuba) == (0.66, [0.165] * 3)


def test_fields_of_view_may_be_in_degrees(tmp_path: Path) -> None:
    def in_degrees(content: dict[str, Any]) -> None:
        del content["fl_x"]
        content["x_fov"] = 90

    assert take(scene(tmp_path, in_degrees), tmp_path / "results").cameras.focal[0, 0] == pytest.approx(20)


def test_a_third_radial_coefficient_is_undistorted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As Metashape and nerfstudio export it; an image of coordinates tells where each pixel comes from."""
    path = scene(tmp_path, lambda content: content.update(camera_model="OPENCV", k1=-0.1, k3=0.05))
    rows, columns = np.mgrid[:40, :40]
    for number in range(3):
        pixels = np.stack([6 * columns, 6 * rows, 0 * rows], axis=-1).astype(np.uint8)
        Image.fromarray(pixels).save(path.parent / f"frames/{number:03d}.png")
    imported = take(path, tmp_path / "results")
    assert "3 of 3 images are undistorted" in caplog.text
    assert not imported.cameras.distortion.any()
    width, height = imported.cameras.size[0].tolist()
    pixels = np.array(Image.open(imported.files[0])).astype(float)
    for x, y in [(5, 5), (width // 2, 8), (width - 6, height - 9)]:
        ideal = (np.array([x, y]) + 0.5 - imported.cameras.centre[0].numpy()) / imported.cameras.focal[
            0
        ].numpy()
        r2 = ideal @ ideal
        source = ideal * (1 - 0.1 * r2 + 0.05 * r2**3) * 48 + 20
        assert np.abs(pixels[y, x, :2] / 6 + 0.5 - source).max() < 0.5


def turn_by_exif(path: Path, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    for file in sorted((path.parent / "frames").glob("*.png")):
        Image.new("RGB", size, "red").save(file.with_suffix(".jpg"), exif=exif)
        file.unlink()


@pytest.mark.parametrize(("calibrated", "expected"), [((40, 20), (40, 20)), ((20, 40), (20, 40))])
def test_exif_turns_an_image_only_if_its_calibration_is_turned(
    tmp_path: Path, calibrated: tuple[int, int], expected: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    def change(content: dict[str, Any]) -> None:
        content.update(w=calibrated[0], h=calibrated[1], cx=calibrated[0] / 2, cy=calibrated[1] / 2)
        renamed(lambda path: path.replace("png", "jpg"))(content)

    path = scene(tmp_path, change)
    turn_by_exif(path, 6, (40, 20))  # stored in landscape
    imported = take(path, tmp_path / "results")
    assert imported.cameras.size[0].tolist() == list(expected)
    image = Image.open(imported.files[0])
    assert image.size == expected and 0x0112 not in image.getexif()
    assert "3 of 3 images" in caplog.text and "EXIF orientation" in caplog.text


def test_the_applied_transform_is_not_applied_again(tmp_path: Path) -> None:
    turned = {"applied_transform": [[0, 1, 0, 3], [1, 0, 0, 4], [0, 0, -1, 5]], "applied_scale": 2}
    plain = take(scene(tmp_path / "a"), tmp_path / "plain").cameras
    other = take(scene(tmp_path / "b", lambda content: content.update(turned)), tmp_path / "other").cameras
    assert np.array_equal(plain.position, other.position) and np.array_equal(plain.rotation, other.rotation)
