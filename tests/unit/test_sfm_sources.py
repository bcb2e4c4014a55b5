"""A scene that cannot be made is found out before anything runs."""

import os
from pathlib import Path
from typing import Any

import pytest
from sphere_scene import write_ball_scene, write_blender_scene

from triptych.sfm.sources import SOURCES, check_scene, masks_inside
from triptych.workflow.errors import TriptychError


def settings(source: str, path: Path | None = None, reference: Path | None = None) -> dict[str, Any]:
    def text(value: Path | None) -> str | None:
        return None if value is None else str(value)

    return {
        "source": source,
        "path": text(path),
        "masks": None,
        "masked": "ignored",
        "reference": text(reference),
    }


def test_scenes_that_can_be_made_pass(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    check_scene("a", settings("orbit"))
    check_scene("b", settings("video", film, reference=film))
    check_scene("c", settings("folder", tmp_path))
    check_scene("d", settings("transforms", write_ball_scene(tmp_path / "balls", images=2)))
    check_scene("e", settings("transforms", write_blender_scene(tmp_path / "blender", train=1, test=1)))


def test_each_mistake_is_named(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(b"film")
    scene, empty = write_ball_scene(tmp_path / "balls", images=2), tmp_path / "empty"
    (empty / "frames").mkdir(parents=True)
    (empty / "transforms.json").write_text(scene.read_text())
    wrong = {
        "films itself": settings("orbit", film),
        "source video needs a `path`": settings("video"),
        "nowhere.mp4 does not exist; correct `path`": settings("video", tmp_path / "nowhere.mp4"),
        "is a folder; name a film": settings("video", tmp_path),
        "is not a folder; use source video": settings("folder", film),
        "the reference .*poses.json does not exist": settings("video", film, tmp_path / "poses.json"),
        "source transforms needs a `path`": settings("transforms"),
        "nowhere does not exist; correct `path`": settings("transforms", tmp_path / "nowhere"),
        "there is no transforms.json": settings("transforms", tmp_path),
        "film.mp4: not a valid transforms.json": settings("transforms", film),
        "empty: 0 of 2 listed images exist": settings("transforms", empty),
        "leave `reference` out": settings("transforms", scene, scene),
    }
    for message, scene in wrong.items():
        with pytest.raises(TriptychError, match=message) as caught:
            check_scene("desk", scene)
        assert str(caught.value).startswith("config: scenes.desk: ") and "\n" not in str(caught.value)


def test_masks_are_a_folder_of_a_scene_without_poses(tmp_path: Path) -> None:
    (tmp_path / "in/masks").mkdir(parents=True)
    scene = write_ball_scene(tmp_path / "balls", images=2)
    good = settings("folder", tmp_path / "in") | {"masks": str(tmp_path / "in/masks")}
    check_scene("a", good)
    assert masks_inside(good) == "masks"
    assert masks_inside(good | {"masks": str(tmp_path)}) is None
    with pytest.raises(TriptychError, match=r"scenes.a: there is no folder /nowhere; correct `masks`"):
        check_scene("a", good | {"masks": "/nowhere"})
    check_scene("a", good | {"masked": "empty"})
    with pytest.raises(TriptychError, match="give `masks`, too"):
        check_scene("a", good | {"masks": None, "masked": "empty"})
    with pytest.raises(TriptychError, match="leave `masks` out"):
        check_scene("a", settings("transforms", scene) | {"masks": str(tmp_path)})


def test_an_edited_film_is_noticed_and_a_touched_one_is_the_same(tmp_path: Path) -> None:
    scene = settings("video", tmp_path / "film {1}.mp4")
    fingerprint = SOURCES["video"].fingerprint
    assert fingerprint is not None
    (tmp_path / "film {1}.mp4").write_bytes(b"film")
    before = fingerprint(scene)
    os.utime(tmp_path / "film {1}.mp4", (0, 0))
    assert fingerprint(scene) == before
    (tmp_path / "film {1}.mp4").write_bytes(b"flim")
    assert fingerprint(scene) != before


def test_only_photographs_count_for_the_fingerprint_of_their_folder(tmp_path: Path) -> None:
    (tmp_path / "sub/masks").mkdir(parents=True)
    (tmp_path / "sub/1.jpg").write_bytes(b"1")
    scene = settings("folder", tmp_path) | {"masks": str(tmp_path / "sub/masks")}
    fingerprint = SOURCES["folder"].fingerprint
    assert fingerprint is not None
    before = fingerprint(scene)
    for litter in ("sub/masks/1.png", "Thumbs.db", ".2.jpg"):
        (tmp_path / litter).write_bytes(b"x")
    assert fingerprint(scene) == before
    for photograph in ("2.heic", "sub/3.dng"):
        (tmp_path / photograph).write_bytes(b"x")
        assert fingerprint(scene) != before
        before = fingerprint(scene)
