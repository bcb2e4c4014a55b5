"""Images are found where a scene file was written, or by the end of their path."""

from collections.abc import Callable
from pathlib import Path

import pytest
from changed_scene import message_of, put, renamed, scene
from test_scenes_import import manifest, take

from triptych.scenes.listed_files import find_listed_files
from triptych.scenes.scene_files import read_scene_file


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
