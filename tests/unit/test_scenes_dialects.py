"""Scene files as other programs and other machines write them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation
from sphere_scene import ring_of_poses, write_ball_scene, write_blender_scene
from test_scenes_import import manifest, take

from triptych.scenes import known_poses, scene_files, scene_json
from triptych.scenes.known_poses import poses_fingerprint, read_known_poses
from triptych.scenes.listed_files import find_listed_files
from triptych.scenes.scene_files import SceneFile, read_scene_file
from triptych.workflow.errors import TriptychError

Change = Callable[[dict[str, Any]], object]


def scene(folder: Path, change: Change = lambda content: None, *, images: int = 3) -> Path:
    """The ball's scene file, changed."""
    path = write_ball_scene(folder / "ball", images=images)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def each(change: Callable[[dict[str, Any]], object]) -> Change:
    def all_of(content: dict[str, Any]) -> None:
        for frame in content["frames"]:
            change(frame)

    return all_of


def message_of(path: Path) -> str:
    with pytest.raises(TriptychError) as caught:
        take(path, path.parent / "results")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    str(caught.value).encode()
    return str(caught.value)


# --- where images are ---


def renamed(change: Callable[[str], str]) -> Change:
    return each(lambda frame: frame.update(file_path=change(frame["file_path"])))


@pytest.mark.parametrize(
    "change",
    [
        lambda path: "/" + path,
        lambda path: "./" + path,
        lambda path: "/home/somebody/data/" + path,
        lambda path: "C:\\Users\\me\\data\\" + path.replace("/", "\\"),
        lambda path: "data/nerf/ball/" + path,
        lambda path: path.replace("frames", "Frames").replace(".png", ".PNG"),
        lambda path: path.removesuffix(".png"),
        lambda path: path.removeprefix("frames/"),
        lambda path: "../ball/" + path,
    ],
)
def test_images_are_found_wherever_the_file_was_written(tmp_path: Path, change: Callable[[str], str]) -> None:
    path = scene(tmp_path, renamed(change))
    files = [frame.image for frame in read_scene_file(path).frames]
    assert [file and file.resolve() for file in files] == [
        path.parent / f"frames/{number:03d}.png" for number in range(3)
    ]


def test_images_that_were_found_elsewhere_are_counted(tmp_path: Path) -> None:
    content = read_scene_file(scene(tmp_path, renamed(lambda path: "/home/somebody/" + path)))
    (note,) = content.notes
    assert note.startswith("3 of 3 images are not where the file says")
    assert not read_scene_file(scene(tmp_path / "plain")).notes


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("there", "listed", "found"),
    [
        (["a/1.png", "b/1.png"], "1.png", None),  # ambiguous
        (["a/1.png", "b/1.png"], "/home/b/1.png", "b/1.png"),
        (["images/1.png", "images_2/1.png"], "/x/images/1.png", "images/1.png"),
        (["images/1.png", "old/images/1.png"], "images/1.PNG", "images/1.png"),
        (["images/1.JPG", "masks/1.png"], "images/1", "images/1.JPG"),
        (["masks/1.png"], "images/1.png", None),  # another folder is another thing
        (["masks/1.png"], "/x/images/1.png", None),
        (["test/r_1.png"], "./train/r_1", None),
        (["images/1.jpg"], "images/1.png", None),
        (["a b/ü.png"], "c:/data/A B/Ü.png", "a b/ü.png"),
        ([".hidden/1.png"], "1.png", None),
    ],
)
def test_an_image_is_found_by_its_tail_if_only_one_fits(
    tmp_path: Path, there: list[str], listed: str, found: str | None
) -> None:
    put(tmp_path, *there)
    (result,) = find_listed_files(tmp_path, [listed])
    assert result.file == (None if found is None else tmp_path / found)


def test_an_absent_image_is_not_replaced_by_one_of_its_name_elsewhere(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png", "copy/images/1.png", "copy/images/2.png")
    one, two = find_listed_files(tmp_path, ["images/1.png", "images/2.png"])
    assert one.file == tmp_path / "images/1.png" and two.file is None


def test_names_that_are_no_paths_are_absent_images(tmp_path: Path) -> None:
    put(tmp_path, "images/1.png")
    listed = [
        "",
        "\0",
        "images/\0.png",
        "\ud800.png",
        "9" * 5000,
        "/" * 5000,
        "a/" * 3000,
        "https://host/1.png",
    ]
    assert [found.file for found in find_listed_files(tmp_path, listed)] == [None] * len(listed)


def test_the_first_path_that_was_tried_is_named(tmp_path: Path) -> None:
    path = scene(tmp_path, renamed(lambda path: path.replace("frames", "pictures")))
    assert f"0 of 3 listed images exist (tried first: {path.parent}/pictures/000.png)" in message_of(path)


def test_a_url_is_named_and_never_opened(tmp_path: Path) -> None:
    path = scene(tmp_path, lambda content: content["frames"][1].update(file_path="http://127.0.0.1:9/1.png"))
    take(path, tmp_path / "results")
    assert (
        manifest(tmp_path / "results")[1]["why"] == "http://127.0.0.1:9/1.png is a URL, which is not opened"
    )


def test_an_image_that_is_listed_twice_is_used_once(tmp_path: Path) -> None:
    path = scene(tmp_path, lambda content: content["frames"].append(content["frames"][0]))
    assert len(take(path, tmp_path / "results").names) == 3
    assert manifest(tmp_path / "results")[3]["why"] == "frames/000.png is listed twice"


# --- the text of the file ---


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


# --- poses and lenses ---


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


# --- several files, and lists of a split ---


def test_one_of_nerfs_files_is_enough(tmp_path: Path) -> None:
    folder = write_blender_scene(tmp_path / "given")
    (folder / "transforms_test.json").unlink()
    with_validation = read_known_poses(folder)
    assert [frame.split for frame in with_validation.frames] == ["train"] * 12 + ["test"]
    (folder / "transforms_val.json").unlink()
    alone = read_known_poses(folder)
    assert len(alone.used) == 12 and {frame.split for frame in alone.frames} == {None}


def test_what_is_not_used_of_nerfs_files_is_said(tmp_path: Path) -> None:
    folder = write_blender_scene(tmp_path / "given")
    assert read_known_poses(folder).notes == (
        "transforms_val.json is not used: the held-out images are those of transforms_test.json",
    )


def test_test_views_that_were_not_rendered_leave_the_split_to_the_knob(tmp_path: Path) -> None:
    """BlenderNeRF lists test cameras whose images it renders only on demand."""
    folder = write_blender_scene(tmp_path / "given")
    for image in (folder / "test").iterdir():
        image.unlink()
    content = read_known_poses(folder)
    assert len(content.used) == 12 and {frame.split for frame in content.used} == {None}
    assert any("no image of transforms_test.json exists" in note for note in content.notes)


def test_a_folder_with_one_other_json_file_is_read(tmp_path: Path) -> None:
    path = scene(tmp_path)
    path.rename(path.with_name("dataset.json"))
    assert len(read_known_poses(path.parent).used) == 3


def test_a_folder_above_the_scene_is_answered_with_the_right_one(tmp_path: Path) -> None:
    path = scene(tmp_path)
    assert f"did you mean {path.parent}?" in message_of(tmp_path)


def test_a_colmap_model_is_answered_with_its_source(tmp_path: Path) -> None:
    put(tmp_path, "sparse/0/cameras.bin")
    assert "say source: colmap" in message_of(tmp_path)
    assert "correct `path`" in message_of(tmp_path / "sparse")


def split_of(content: SceneFile) -> list[str | None]:
    return [frame.split if frame.image else None for frame in content.frames]


def test_nerfstudios_lists_of_file_names_are_the_split(tmp_path: Path) -> None:
    def lists(**names: list[int]) -> Change:
        return lambda content: content.update(
            {f"{key}_filenames": [f"./frames/{n:03d}.png" for n in value] for key, value in names.items()}
        )

    both = read_known_poses(scene(tmp_path / "a", lists(train=[0, 1], val=[2], test=[2])))
    assert split_of(both) == ["train", "train", "test"]
    validation = read_known_poses(scene(tmp_path / "b", lists(train=[0, 1, 7], val=[2])))
    assert split_of(validation) == ["train", "train", "test"]
    assert validation.notes == (
        "1 paths in the lists of the split belong to no frame (first: frames/007.png)",
    )
    rest = read_known_poses(scene(tmp_path / "c", lists(train=[0, 1], val=[3], test=[2]), images=5))
    assert split_of(rest) == ["train", "train", "test", None, None]
    assert rest.frames[4].left_out == "is in none of the lists of the file's split"
    assert rest.notes == ("1 images of val_filenames are not used: test_filenames has held-out views",)


def test_the_applied_transform_is_not_applied_again(tmp_path: Path) -> None:
    turned = {"applied_transform": [[0, 1, 0, 3], [1, 0, 0, 4], [0, 0, -1, 5]], "applied_scale": 2}
    plain = take(scene(tmp_path / "a"), tmp_path / "plain").cameras
    other = take(scene(tmp_path / "b", lambda content: content.update(turned)), tmp_path / "other").cameras
    assert np.array_equal(plain.position, other.position) and np.array_equal(plain.rotation, other.rotation)


# --- phones ---


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


# --- planning ---


def test_a_scene_file_is_parsed_once_and_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = scene(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/records").mkdir(parents=True)
    parsed: list[Path] = []
    read = known_poses.parse_scene_json
    monkeypatch.setattr(known_poses, "parse_scene_json", lambda path: (parsed.append(path), read(path))[1])
    first = poses_fingerprint(path.parent)
    assert poses_fingerprint(path.parent) == first and len(parsed) == 1
    image = path.parent / "frames/001.png"
    image.write_bytes(image.read_bytes() + b" ")
    assert poses_fingerprint(path.parent) != first and len(parsed) == 1
    path.write_text(path.read_text() + " ")
    poses_fingerprint(path.parent)
    assert len(parsed) == 2
    image.unlink()
    assert poses_fingerprint(path.parent) != first and len(parsed) == 3
