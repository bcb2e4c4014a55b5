"""Which files of a folder describe a scene, its split, and when they are read again."""

from pathlib import Path

import pytest
from changed_scene import Change, message_of, put, scene
from sphere_scene import write_blender_scene

from triptych.scenes import known_poses
from triptych.scenes.known_poses import poses_fingerprint, read_known_poses
from triptych.scenes.scene_files import SceneFile


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
