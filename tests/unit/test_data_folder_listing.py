"""What is found in a folder of images, and everything in it that is not used."""

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.data.folder_listing import list_folder
from triptych.workflow.errors import TriptychError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def found(root, labels="auto"):
    """Names and classes by part."""
    listing = list_folder(root, labels)
    return {
        part: [(image.name, listing.classes[image.label] if listing.classes else None) for image in images]
        for part, images in listing.parts.items()
    }


def test_folders_of_classes_are_read_with_everything_below_them_in_natural_order(tmp_path):
    touch(tmp_path, "train/c10/2.tif", "train/c10/10.PNG", "train/c9/more/deep/1.heic", "train/c9/2.jpg")
    assert list_folder(tmp_path).classes == ("c9", "c10")
    assert found(tmp_path) == {
        "train": [
            ("train/c9/2.jpg", "c9"),
            ("train/c9/more/deep/1.heic", "c9"),
            ("train/c10/2.tif", "c10"),
            ("train/c10/10.PNG", "c10"),
        ]
    }


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Val"])
def test_validation_images_lie_beside_train(tmp_path, name):
    touch(tmp_path, "Train/a/1.png", "Train/b/1.png", f"{name}/b/2.png", "test/a/3.png")
    assert found(tmp_path)["validation"] == [(f"{name}/b/2.png", "b")]
    assert found(tmp_path)["test"] == [("test/a/3.png", "a")]


def test_folders_of_classes_may_lie_in_the_folder_itself(tmp_path):
    touch(tmp_path, "a/1.png", "b/1.png")
    assert found(tmp_path) == {"train": [("a/1.png", "a"), ("b/1.png", "b")]}


@pytest.mark.parametrize(
    "names",
    [["1.png", "2.png"], ["train/1.png", "train/2.png"], ["train/all/1.png"], ["all/x/1.png", "2.png"]],
)
def test_without_two_folders_there_are_no_classes(tmp_path, names):
    touch(tmp_path, *names)
    assert {name for name, _ in found(tmp_path)["train"]} == set(names)
    assert list_folder(tmp_path).classes == () and "folder" in list_folder(tmp_path).note
    with pytest.raises(TriptychError, match="choose labels: none"):
        list_folder(tmp_path, "folders")


def test_folders_are_no_classes_if_the_config_says_so(tmp_path):
    touch(tmp_path, "2023/1.png", "2024/1.png", "2024/may/2.png")
    assert found(tmp_path, "none") == {
        "train": [("2023/1.png", None), ("2024/1.png", None), ("2024/may/2.png", None)]
    }


def test_what_is_not_used_is_named_by_reason(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/1.png", "train/loose.png", "train/a/.hidden.png")
    touch(tmp_path, "train/a/.ipynb_checkpoints/1.png", "train/a/.more/1.png", "train/b/x.txt")
    touch(tmp_path, "unlabelled/1.png", "unlabelled/2.png", "empty/x.txt", "README.md")
    (tmp_path / "train/a/gone.png").symlink_to("/nowhere")
    (tmp_path / "train/a/back").symlink_to("..")
    assert list_folder(tmp_path).skipped == {
        "beside the folders": ["README.md"],
        "in empty/, which is not read": ["empty"],
        "in unlabelled/, which is not read": ["unlabelled/1.png", "unlabelled/2.png"],
        "hidden files": ["train/a/.hidden.png"],
        "hidden folders": ["train/a/.ipynb_checkpoints", "train/a/.more"],
        "links to a folder above": ["train/a/back"],
        "links to nothing": ["train/a/gone.png"],
        "files of other types": ["train/b/x.txt"],
        "images outside of the class folders": ["train/loose.png"],
    }
    line = list_folder(tmp_path).skipped_line()
    assert line.startswith("11 skipped: beside the folders (1): README.md; ") and "\n" not in line


@pytest.mark.parametrize("name", [".thumbnails", ".AppleDouble", ".git", "@eaDir", "__MACOSX"])
@pytest.mark.parametrize("prefix", ["", "train/"])
def test_hidden_folders_with_images_are_skipped_and_named_at_every_level(tmp_path, name, prefix):
    touch(
        tmp_path,
        *(f"{prefix}{image}" for image in ("a/1.png", "b/1.png", f"{name}/1.png", f"a/{name}/1.png")),
    )
    touch(tmp_path, f"{name}/a/1.png")
    listing = list_folder(tmp_path)
    assert listing.classes == ("a", "b") and len(listing.parts["train"]) == 2
    assert set(listing.skipped) == {"hidden folders"}
    expected = {name, f"{prefix}{name}", f"{prefix}a/{name}"}
    assert set(listing.skipped["hidden folders"]) == expected


def test_all_classes_that_cannot_be_used_are_named_at_once(tmp_path):
    touch(tmp_path, "train/a/1.png", "train/b/x.raw", "train/c/1.png", "test/d/1.png", "val/e/1.png")
    with pytest.raises(TriptychError) as caught:
        list_folder(tmp_path)
    lines = str(caught.value).splitlines()
    expected = {str(tmp_path / name) for name in ("train/b", "val/e", "test/d")}
    assert {line.split(" ")[0] for line in lines} == expected and len(lines) == 3


def test_links_to_folders_are_followed(tmp_path):
    touch(tmp_path / "store", "x/1.png", "y/1.png")
    (tmp_path / "mine/train").mkdir(parents=True)
    for name in "xy":
        (tmp_path / "mine/train" / name).symlink_to(tmp_path / "store" / name)
    assert found(tmp_path / "mine") == {"train": [("train/x/1.png", "x"), ("train/y/1.png", "y")]}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["train/.a/1.png", "train/@eaDir/1.png"],
            r"train has no images .*hidden folders \(2\): train/\.a, ",
        ),
        (["train/a/1.png", "train/b/x.raw"], r"train/b has no images"),
        (["train/a/1.png", "train/b/1.png", "test/c/1.png"], r"test/c is a class that .*train lacks"),
        (["train/a/1.png", "train/b/1.png", "val/a/1.png", "valid/a/1.png"], r"val/ and valid/, .* the same"),
        (["test/a/1.png"], r"test has no folder train/ beside it"),
        (["train/x.raw"], r"train has no images .* files of other types \(1\): train/x\.raw"),
    ],
)
def test_a_class_is_never_lost_without_a_word(tmp_path, names, words):
    touch(tmp_path, *names)
    with pytest.raises(TriptychError, match=words):
        list_folder(tmp_path)


def test_a_missing_folder_and_a_file_are_named(tmp_path):
    with pytest.raises(TriptychError, match="does not exist"):
        list_folder(tmp_path / "gone")
    touch(tmp_path, "file")
    with pytest.raises(TriptychError, match="file is a file; give the folder of the images"):
        list_folder(tmp_path / "file")
    touch(tmp_path, "flowers.zip")
    with pytest.raises(TriptychError, match=r"flowers\.zip is an archive; unpack it and give the folder"):
        list_folder(tmp_path / "flowers.zip")


def labels(root, text):
    (root / "labels.csv").write_text(text, encoding="utf-8-sig")
    return found(root, "labels.csv")


def test_labels_may_come_in_a_csv_file(tmp_path):
    touch(tmp_path, "train/1.png", "train/deep/2.png", "train/3.png", "test/4.png")
    assert labels(tmp_path, "file,label\n1.png,cat\ntrain/deep/2.png,dog\ntest/4.png,dog\n") == {
        "train": [("train/1.png", "cat"), ("train/deep/2.png", "dog")],
        "test": [("test/4.png", "dog")],
    }
    assert list_folder(tmp_path, "labels.csv").skipped == {"without a label": ["train/3.png"]}


def test_a_csv_file_may_say_which_images_are_for_what(tmp_path):
    touch(tmp_path, "1.png", "2.png", "3.png", "4.png")
    rows = "split;label;file\ntrain;a;1.png\ntrain;b;2.png\nval;a;3.png\ntest;b;4.png\n"
    assert labels(tmp_path, rows) == {
        "train": [("1.png", "a"), ("2.png", "b")],
        "validation": [("3.png", "a")],
        "test": [("4.png", "b")],
    }


@pytest.mark.parametrize(
    "text",
    [
        "file\tlabel\r\nmore\\1.png\ta, b\r\nmore\\2.png\tc\r\n",
        'file,label\nmore/1.png,"a, b"\n./more/2.png,c\n',
        "file;label\nmore/1.png;a, b\nmore/2.png;c\n",
    ],
)
def test_a_csv_file_may_come_from_a_spreadsheet_or_from_windows(tmp_path, text):
    touch(tmp_path, "more/1.png", "more/2.png")
    assert labels(tmp_path, text) == {"train": [("more/1.png", "a, b"), ("more/2.png", "c")]}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,class\n1.png,a\n", "has the columns name, class; the labels need 'file' and 'label'"),
        ("", r"has the columns \(none\)"),
        ("file,label\n1.png,a\n9.png,b\n8.png,b\n", r"names 2 images not in .*: 9\.png, 8\.png"),
        ("file,label\n1.png,\n", "line 2: the label is empty"),
        ("file,label\n1.png,a\n1.png,b\n", "line 3: 1.png is there twice"),
        ("file,label\n1.png,a\n./1.png,b\n", "names 1.png twice"),
        ("file,label,split\n1.png,a,dev\n", "split is 'dev' but must be train, val or test"),
        ("file,label\n1.png,a\n2.png,a\n", "has 1 different label; there must be two or more"),
        (
            "file,label,split\n1.png,a,\n2.png,b,test\n3.png,c,\n",
            "'b' has test images and no training images",
        ),
    ],
)
def test_mistakes_in_a_csv_file_are_one_clear_line(tmp_path, text, words):
    touch(tmp_path, "1.png", "2.png", "3.png")
    with pytest.raises(TriptychError, match=words):
        labels(tmp_path, text)


def test_a_missing_csv_file_is_one_clear_line(tmp_path):
    touch(tmp_path, "1.png", "2.png")
    with pytest.raises(TriptychError, match=r"labels\.csv: the labels cannot be read .*; correct `labels`"):
        list_folder(tmp_path, "labels.csv")


def test_the_contents_follow_the_images_and_nothing_else(tmp_path):
    touch(tmp_path / "a", "train/x/1.png", "train/y/1.png")
    before = list_folder(tmp_path / "a").contents()
    touch(tmp_path / "a", "README.txt", "train/x/notes.txt", "train/.DS_Store")
    os.utime(tmp_path / "a/train/x/1.png", (1, 1))
    assert list_folder(tmp_path / "a").contents() == before
    (tmp_path / "a").rename(tmp_path / "b")
    assert list_folder(tmp_path / "b").contents() == before
    (tmp_path / "b/train/x/1.png").write_text("other")
    edited = list_folder(tmp_path / "b").contents()
    (tmp_path / "b/train/x/1.png").rename(tmp_path / "b/train/x/2.png")
    assert len({before, edited, list_folder(tmp_path / "b").contents()}) == 3


@settings(max_examples=20)
@given(st.lists(st.integers(0, 99), min_size=1, unique=True))
def test_numbers_in_names_count_by_value(tmp_path_factory, numbers):
    root = tmp_path_factory.mktemp("folder")
    touch(root, *(f"im_{number}.png" for number in numbers))
    assert [name for name, _ in found(root)["train"]] == [f"im_{number}.png" for number in sorted(numbers)]
