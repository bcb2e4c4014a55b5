"""Image folders: order, sizes, splits, and everything that can be wrong with them."""

import csv
import os
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych.data.folder import read_folder, read_image, write_file_list
from triptych.data.image_files import load_image
from triptych.data.packed import load_packed, save_packed
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json


def picture(path, value=128, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(path)


def folder_of(root, **counts):
    """`part__class=count` -> images; image number i of a class is filled with i."""
    for key, count in counts.items():
        part, name = key.split("__")
        (root / part / name).mkdir(parents=True)
        for number in range(count):
            picture(root / part / name / f"{number:03d}.png", number)
    return root


def read(root, **options):
    images = read_folder(root, **({"image_size": 8, "test_fraction": 0.25, "seed": 0} | options))
    parts = {f"{part}_images": getattr(images, f"{part}_images") for part in ("train", "test")}
    return replace(images, **{name: np.concatenate(list(files.blocks())) for name, files in parts.items()})


def test_classes_and_files_come_in_the_order_of_their_names(tmp_path):
    images = read(folder_of(tmp_path, train__zebra=3, train__ant=2, test__zebra=1, test__ant=1))
    assert images.classes == ("ant", "zebra")
    assert images.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert images.train_images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert images.test_labels.tolist() == [0, 1]
    assert images.train_images.dtype == np.uint8 and images.train_labels.dtype == np.int64


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(4, 9), min_size=2, max_size=4),
    fraction=st.floats(0.25, 0.75),
    seed=st.integers(0, 3),
)
def test_without_test_images_every_class_gives_its_share(tmp_path_factory, counts, fraction, seed):
    root = folder_of(
        tmp_path_factory.mktemp("f"), **{f"train__{index}": count for index, count in enumerate(counts)}
    )
    images = read(root, test_fraction=fraction, seed=seed)
    assert len(images.test_labels) == round(fraction * sum(counts))
    seen = [
        (label, int(image[0, 0, 0]))
        for part in ("train", "test")
        for image, label in zip(
            getattr(images, f"{part}_images"), getattr(images, f"{part}_labels").tolist(), strict=True
        )
    ]
    assert sorted(seen) == [(label, number) for label, count in enumerate(counts) for number in range(count)]


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "bmp", "PNG"])
def test_usual_formats_are_read(tmp_path, suffix):
    picture(tmp_path / f"a.{suffix}", 200)
    assert abs(int(read_image(tmp_path / f"a.{suffix}", 8)[4, 4, 0]) - 200) <= 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture(tmp_path / "a.png", 77, mode=mode)
    assert read_image(tmp_path / "a.png", 8).tolist() == [[[77] * 3] * 8] * 8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 77 * 256, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8) == 77).all()


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", 8), pixels)


def test_large_photographs_are_decoded_smaller_and_look_the_same(tmp_path):
    shades = np.outer(np.hanning(600), np.hanning(800))
    picture = Image.fromarray((255 * shades).astype(np.uint8)).convert("RGB")
    picture.save(tmp_path / "a.jpg", quality=95)
    picture.save(tmp_path / "a.png")
    small, exact = (read_image(tmp_path / f"a.{suffix}", 32).astype(int) for suffix in ("jpg", "png"))
    assert load_image(tmp_path / "a.jpg", min_side=64).size == (100, 75)
    assert np.abs(small - exact).max() <= 3


def test_the_central_square_is_kept(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 10) == 255).all()


def test_a_photograph_is_turned_upright(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = read_image(tmp_path / "a.png", 8)
    assert upright[:4].max() == 0 and upright[4:].min() == 255


def test_unreadable_files_of_all_parts_are_named_at_once(tmp_path):
    root = folder_of(tmp_path, train__a=8, train__b=8, test__a=2, test__b=2)
    for name in ("train/b/003.png", "test/b/000.png", "train/a/004.png"):
        (root / name).write_bytes(b"no picture")
    whole = (root / "test/b/001.png").read_bytes()
    (root / "test/b/001.png").write_bytes(whole[:50])
    expected = (
        r"4 of 20 images cannot be read: test/b/000\.png, train/a/004\.png, train/b/003\.png \(damaged.*\), "
        r"test/b/001\.png \(.*truncated"
    )
    with pytest.raises(TriptychError, match=expected) as caught:
        read(root, workers=3)
    assert "\n" not in str(caught.value)


def test_a_class_of_two_images_is_in_both_parts(tmp_path):
    images = read(folder_of(tmp_path, train__a=40, train__b=2, train__c=2), test_fraction=0.1)
    for labels in (images.train_labels, images.test_labels):
        assert set(labels.tolist()) == {0, 1, 2}


def test_a_class_too_small_to_split_is_named(tmp_path):
    with pytest.raises(TriptychError, match=r"too few images of b, c for both parts"):
        read(folder_of(tmp_path, train__a=40, train__b=1, train__c=1), test_fraction=0.1)


def test_validation_images_are_the_last_training_images(tmp_path):
    images = read(folder_of(tmp_path, train__a=3, train__b=2, val__a=2, val__b=1, test__a=1, test__b=1))
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 0, 0, 1]
    assert images.validation == 3
    smaller = images.subset(train_size=2, test_size=None, seed=0)
    assert smaller.train_labels.tolist() == [0, 1, 0, 0, 1]
    save_packed(tmp_path / "packed", images, name="mine", provenance={})
    train, validation = load_packed(tmp_path / "packed").validation_split(1)
    assert train.tolist() == [0, 1, 2, 3, 4] and validation.tolist() == [5, 6, 7]


def test_images_without_labels_are_all_for_training(tmp_path):
    for number in range(5):
        picture(tmp_path / "mine" / f"{number}.jpg", number)
    packed = tmp_path / "packed"
    images = read_folder(tmp_path / "mine", image_size=8, test_fraction=0.2, seed=0)
    save_packed(packed, images, name="mine", provenance={})
    dataset = load_packed(packed)
    assert not dataset.labelled and dataset.num_classes == 0
    assert dataset.train_labels.tolist() == [-1] * 5 and len(dataset.test_images) == 0
    assert dataset.train_images[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 4]


def test_one_line_says_what_was_found_and_what_was_not_used(tmp_path):
    root = folder_of(tmp_path, train__a=8, train__b=12, val__a=2, test__a=2, test__b=1)
    (root / "train/a/.thumbnail.png").write_bytes(b"x")
    (root / "train/a/notes.txt").write_text("x")
    (root / "unlabelled").mkdir()
    picture(root / "unlabelled/0.png")
    (root / "README.txt").write_text("x")
    (root / "train/b/gone.png").symlink_to("/nowhere/gone.png")
    assert read(root).source["summary"] == (
        "2 classes, 20 training, 2 validation, 3 test images (a 8, b 12), no validation images of b, "
        "8 pixels, "
        "3 test images are training images, too (test/a/000.png, test/a/001.png, test/b/000.png), "
        "5 skipped: beside the folders (1): README.txt; "
        "in unlabelled/, which is not read (1): unlabelled/0.png; "
        "hidden files (1): train/a/.thumbnail.png; files of other types (1): train/a/notes.txt; "
        "links to nothing (1): train/b/gone.png"
    )


@pytest.mark.parametrize(
    ("side", "words"),
    [(8, "reduced from 32 to 8 pixels"), (32, "32 pixels"), (48, "enlarged from 32 to 48 pixels")],
)
def test_the_line_says_how_large_the_images_are(tmp_path, side, words):
    for name in ("a/1", "a/2", "b/1", "b/2"):
        picture(tmp_path / f"train/{name}.png", size=(40, 32))
    assert f", {words}" in read(tmp_path, image_size=side).source["summary"]


def test_the_line_counts_what_is_kept(tmp_path):
    root = folder_of(tmp_path, train__a=8, train__b=12, val__a=2, val__b=2, test__a=1)
    images = read(root, train_size=5)
    assert images.source["summary"] == (
        "2 classes, 5 training, 4 validation, 1 test image (a 2, b 3), no test images of b, 8 pixels, "
        "train_size leaves out 15 training images, 1 test image is a training image, too (test/a/000.png)"
    )
    save_packed(tmp_path / "packed", images, name="mine", provenance={})
    counts = read_json(tmp_path / "packed/dataset.json")["class_counts"]
    assert counts == {"train": [2, 3], "validation": [2, 2], "test": [1, 0]}


def test_packing_holds_a_few_images_in_memory(tmp_path):
    root = folder_of(tmp_path, train__a=150, train__b=150)
    images = read_folder(root, image_size=8, test_fraction=0.1, seed=0).train_images
    assert [len(block) for block in images.blocks()] == [256, 14]


def test_any_name_fits_into_the_line(tmp_path):
    root = folder_of(tmp_path, **{"train__a": 2, "train__two\nlines": 2})
    (root / os.fsdecode(b"train/a/im\xff.png")).write_bytes((root / "train/a/000.png").read_bytes())
    images = read(root)
    assert "(a 2, two lines 1)" in images.source["summary"]
    save_packed(tmp_path / "packed", images, name="mine", provenance={})
    write_file_list(read_folder(root, image_size=8, test_fraction=0.2, seed=0), tmp_path / "files.csv")
    with (tmp_path / "files.csv").open(newline="") as stream:
        rows = list(csv.reader(stream))
    assert sorted(rows[1:])[-2:] == [
        ["train/two\nlines/000.png", "test", "two\nlines"],
        ["train/two\nlines/001.png", "train", "two\nlines"],
    ]
    assert any("im\\xff.png" in name for name, _, _ in rows)
