"""Scenes with known poses: what is taken over, under which names, and what is refused."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sphere_scene import write_ball_scene, write_blender_scene

from triptych.radiance.ray_sampler import read_images, read_masks
from triptych.scenes.import_scene import import_scene
from triptych.scenes.known_poses import poses_fingerprint, read_known_poses
from triptych.scenes.manifest import COLUMNS
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.errors import TriptychError


def take(source: Path, target: Path, aabb_scale: int | None = None, *, colmap: bool = False) -> Scene:
    import_scene(
        source,
        transforms=target / "transforms.json",
        frames=target / "frames",
        manifest=target / "frames.csv",
        model=target / "colmap",
        cloud=target / "sparse.ply",
        aabb_scale=aabb_scale,
        colmap=colmap,
        provenance={"seed": None},
    )
    return read_scene(target / "transforms.json")


def change(path: Path, **changes: object) -> Path:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return path


def manifest(folder: Path) -> list[dict[str, str]]:
    with (folder / "frames.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_scene_is_the_same_after_it_was_imported(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=10)
    before, after = read_scene(source), take(source, tmp_path / "results")
    assert after.names == before.names and after.aabb_scale == before.aabb_scale
    for name in ("focal", "centre", "distortion", "rotation", "position", "size"):
        assert torch.equal(getattr(after.cameras, name), getattr(before.cameras, name)), name
    assert [file.read_bytes() for file in after.files] == [file.read_bytes() for file in before.files]
    assert after.split(8)[1] == [0, 8]
    assert take(source.parent, tmp_path / "folder").names == before.names


def test_the_pair_of_synthetic_scenes_brings_its_split(tmp_path: Path) -> None:
    scene = take(write_blender_scene(tmp_path / "given"), tmp_path / "results")
    training, heldout = scene.split(8)
    assert [scene.names[i] for i in heldout] == [f"test_{number:04d}" for number in range(4)]
    assert [scene.names[i] for i in training] == [f"train_{number:04d}" for number in range(12)]
    assert scene.aabb_scale == 1
    seventh = json.loads((tmp_path / "given/transforms_train.json").read_text())["frames"][7]
    assert scene.files[training[7]].read_bytes() == (tmp_path / "given/train/r_7.png").read_bytes()
    position = np.array(seventh["transform_matrix"])[:3, 3]
    assert scene.cameras.position[training[7]].numpy() == pytest.approx(position * 0.33 + 0.5)
    (image,) = read_images(scene, [0])
    assert image.shape[-1] == 4
    assert image[0, 0, 3] == 0  # transparent around the ball


def test_the_objects_of_synthetic_scenes_fit_into_the_unit_cube(tmp_path: Path) -> None:
    """They lie within 1.5 of the origin, and their cameras 4.03 away, outside of the cube."""
    path = write_blender_scene(tmp_path / "given") / "transforms_train.json"
    content = read_known_poses(path)
    corners = np.array([[-1.5] * 3, [1.5] * 3]) * content.world.scale + content.world.offset
    assert (corners > 0).all() and (corners < 1).all()
    assert 4.03 * content.world.scale > 3**0.5 / 2


def test_names_are_kept_unless_two_agree(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=3)
    (source.parent / "frames/001.png").rename(source.parent / "frames/a view.png")
    content = json.loads(source.read_text())
    content["frames"][1]["file_path"] = "frames/a view.png"
    change(source, frames=content["frames"])
    assert take(source, tmp_path / "kept").names == ["000", "002", "a_view"]
    (source.parent / "other").mkdir()
    (source.parent / "frames/002.png").rename(source.parent / "other/000.png")
    content["frames"][2]["file_path"] = "other/000.png"
    change(source, frames=content["frames"])
    assert take(source, tmp_path / "numbered").names == ["frame_0000", "frame_0001", "frame_0002"]


def test_lenses_that_differ_stay_with_their_frames(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=3)
    content = json.loads(source.read_text())
    content["frames"][1] |= {"camera_model": "OPENCV_FISHEYE", "k4": 0.01}
    change(source, frames=content["frames"])
    cameras = take(source, tmp_path / "results").cameras
    assert cameras.fisheye is not None and cameras.fisheye.tolist() == [False, True, False]
    assert cameras.distortion[:, 3].tolist() == pytest.approx([0, 0.01, 0])


def test_masks_come_along_in_one_convention(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=3)
    left = np.zeros((40, 40), np.uint8)
    left[:, :20] = 255
    Image.fromarray(left).save(source.parent / "left.png")
    Image.fromarray(left).save(source.parent / "frames/dynamic_mask_001.png")
    content = json.loads(source.read_text())
    content["frames"][0]["mask_path"] = "left.png"
    change(source, frames=content["frames"])
    scene = take(source, tmp_path / "results")
    named, beside, whole = read_masks(scene, [0, 1, 2])
    assert named is not None and np.array_equal(named.numpy(), left > 0)
    assert beside is not None and np.array_equal(beside.numpy(), left == 0)
    assert whole is not None and whole.all()  # nerfstudio reads masks for all frames or for none
    assert all(mask is None or mask.file.is_relative_to(tmp_path / "results") for mask in scene.masks)


def test_the_scale_of_the_config_comes_before_that_of_the_file(tmp_path: Path) -> None:
    source = change(write_ball_scene(tmp_path / "given", images=3), aabb_scale=8, scale=0.2, offset=[0, 0, 1])
    kept = take(source, tmp_path / "kept")
    assert kept.aabb_scale == 8 and take(source, tmp_path / "set", 2).aabb_scale == 2
    assert torch.equal(kept.cameras.position, read_scene(source).cameras.position)


def test_absent_images_are_left_out_and_listed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = write_ball_scene(tmp_path / "given", images=4)
    (source.parent / "frames/001.png").unlink()
    assert take(source, tmp_path / "results").names == ["000", "002", "003"]
    assert "1 of 4 images are left out (first: frames/001.png does not exist)" in caplog.text
    rows = manifest(tmp_path / "results")
    assert list(rows[0]) == list(COLUMNS)
    assert [(row["file"], row["kept"]) for row in rows[:2]] == [("000.png", "True"), ("", "False")]
    assert rows[1]["why"] == "frames/001.png does not exist"


def test_unusual_images_become_png(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=3)
    frames = source.parent / "frames"
    deep = (np.arange(1600).reshape(40, 40) * 40).astype(np.uint16)
    Image.fromarray(deep).save(frames / "000.png")
    Image.open(frames / "001.png").save(frames / "001.webp", lossless=True)
    content = json.loads(source.read_text())
    content["frames"][1]["file_path"] = "frames/001.webp"
    change(source, frames=content["frames"])
    scene = take(source, tmp_path / "results")
    assert [file.name for file in scene.files] == ["000.png", "001.png", "002.png"]
    grey, transparent = read_images(scene, [0, 1])
    assert np.array_equal(grey[..., 0].numpy(), deep >> 8)
    alpha = np.array(Image.open(frames / "001.png"))[..., 3]
    assert np.array_equal(transparent[..., 3].numpy(), alpha)


def test_edits_of_used_files_show_and_other_files_do_not(tmp_path: Path) -> None:
    folder = write_blender_scene(tmp_path / "given")
    before = poses_fingerprint(folder)
    (folder / "notes.txt").write_text("unused")
    (folder / "test/r_0_depth.png").write_bytes(b"unused")
    assert poses_fingerprint(folder) == before
    for file in ("train/r_3.png", "transforms_test.json"):
        (folder / file).write_bytes((folder / file).read_bytes() + b" ")
        assert poses_fingerprint(folder) != before
        before = poses_fingerprint(folder)
    Image.new("L", (40, 40)).save(folder / "train/dynamic_mask_r_2.png")
    assert poses_fingerprint(folder) != before


def test_what_cannot_be_used_is_one_clear_line(tmp_path: Path) -> None:
    source = write_ball_scene(tmp_path / "given", images=3)
    content = json.loads(source.read_text())

    def message_of(path: Path) -> str:
        with pytest.raises(TriptychError) as caught:
            take(path, tmp_path / "results")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "results/frames").exists()
        return str(caught.value)

    assert "no transforms.json and no transforms_train.json and transforms_test.json" in message_of(tmp_path)
    blender = write_blender_scene(tmp_path / "blender")
    change(blender / "transforms_test.json", aabb_scale=2)
    assert "its two files differ in aabb_scale" in message_of(blender)

    content["frames"][1]["split"] = "test"
    assert "either no image has a split" in message_of(change(source, frames=content["frames"]))
    content["frames"][1]["split"] = "val"
    assert "split is 'val'" in message_of(change(source, frames=content["frames"]))
    del content["frames"][1]["split"]
    pose = content["frames"][1].pop("transform_matrix")
    assert "frame frames/001.png: transform_matrix" in message_of(change(source, frames=content["frames"]))
    content["frames"][1]["transform_matrix"] = np.diag([-1.0, 1.0, 1.0, 1.0]).tolist()
    mirrored = message_of(change(source, frames=content["frames"]))
    assert "frame frames/001.png: transform_matrix does not turn a camera but mirrors" in mirrored
    content["frames"][1]["transform_matrix"] = pose
    change(source, frames=content["frames"])
    for number in (1, 2):
        (source.parent / f"frames/00{number}.png").write_bytes(b"no image")
    both = "2 of 3 images cannot be read: frames/001.png, frames/002.png (damaged or of an unknown type)"
    assert both in message_of(source)
    for number in (1, 2):
        (source.parent / f"frames/00{number}.png").unlink()
    assert "1 of 3 listed images exist (tried first: " in (message := message_of(source))
    assert "frames/001.png); at least 2 are needed" in message
