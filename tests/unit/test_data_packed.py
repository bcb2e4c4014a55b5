"""Packed data sets: round trip, statistics, all files or none."""

import errno
import json
from dataclasses import replace

import numpy as np
import pytest

from triptych.data.packed import LabelledImages, Superclasses, load_packed, save_packed
from triptych.workflow.errors import TriptychError

FILES = {
    "train_images.npy",
    "train_labels.npy",
    "test_images.npy",
    "test_labels.npy",
    "dataset.json",
    "digest.txt",
}


def random_images(train: int = 40, test: int = 15, side: int = 8) -> LabelledImages:
    random = np.random.default_rng(5)
    return LabelledImages(
        train_images=random.integers(0, 256, (train, side, side, 3), dtype=np.uint8),
        train_labels=np.arange(train) % 5,
        test_images=random.integers(0, 256, (test, side, side, 3), dtype=np.uint8),
        test_labels=np.arange(test) % 5,
        classes=("a", "b", "c", "d", "e"),
        source={"kind": "test"},
    )


def save(folder, images):
    return save_packed(folder, images, name="some", provenance={"seed": 1})


def test_what_is_loaded_is_what_was_saved(tmp_path):
    images = random_images()
    description = save(tmp_path, images)
    packed = load_packed(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for key in ("train_images", "train_labels", "test_images", "test_labels"):
        assert np.array_equal(getattr(packed, key), getattr(images, key))
        assert getattr(packed, key).dtype == getattr(images, key).dtype
    assert (packed.name, packed.classes, packed.num_classes) == ("some", images.classes, 5)
    assert packed.image_size == (8, 8)
    assert packed.digest == description["digest"]
    assert json.loads((tmp_path / "dataset.json").read_text()) == description
    assert description["counts"] == {"train": 40, "test": 15}
    assert description["provenance"] == {"seed": 1}


def test_superclasses_are_kept_and_null_where_there_are_none(tmp_path):
    groups = Superclasses(("vowels", "consonants"), (0, 1, 1, 1, 0))
    description = save(tmp_path / "grouped", replace(random_images(), superclasses=groups))
    assert description["superclasses"] == ["vowels", "consonants"]
    assert description["superclass_of_class"] == [0, 1, 1, 1, 0]
    assert load_packed(tmp_path / "grouped").superclasses == groups
    description = save(tmp_path / "plain", random_images())
    assert description["superclasses"] is description["superclass_of_class"] is None
    assert load_packed(tmp_path / "plain").superclasses is None
    with pytest.raises(ValueError, match="4 classes have a superclass, not 5"):
        save(tmp_path, replace(random_images(), superclasses=Superclasses(("all",), (0,) * 4)))


def test_statistics_are_those_of_the_training_pixels(tmp_path):
    images = random_images()
    save(tmp_path, images)
    packed = load_packed(tmp_path)
    pixels = images.train_images / 255
    assert np.allclose(packed.mean, pixels.mean(axis=(0, 1, 2)), rtol=0, atol=1e-12)
    assert np.allclose(packed.std, pixels.std(axis=(0, 1, 2)), rtol=0, atol=1e-12)


def test_images_are_mapped_and_writing_to_them_stays_in_memory(tmp_path):
    save(tmp_path, random_images())
    packed = load_packed(tmp_path)
    assert isinstance(packed.train_images, np.memmap)
    before = load_packed(tmp_path).train_images.copy()
    packed.train_images[:] = 0
    assert np.array_equal(load_packed(tmp_path).train_images, before)


def test_the_digest_follows_every_array_and_nothing_else(tmp_path):
    images = random_images()
    flipped = images.test_labels.copy()
    flipped[0] = 4
    same = save(tmp_path / "a", images)["digest"]
    assert save(tmp_path / "b", replace(images, source={"kind": "other"}))["digest"] == same
    assert save(tmp_path / "c", replace(images, test_labels=flipped))["digest"] != same
    assert save(tmp_path / "d", replace(images, train_images=images.train_images ^ 1))["digest"] != same


def test_a_part_without_images_is_refused(tmp_path):
    empty = replace(random_images(), test_images=np.empty((0, 8, 8, 3), np.uint8), test_labels=np.arange(0))
    with pytest.raises(TriptychError, match="no test images"):
        save(tmp_path / "new", empty)
    assert not (tmp_path / "new").exists()


def broken(images):
    yield replace(images, train_images=images.train_images.astype(np.float32))
    yield replace(images, train_labels=images.train_labels + 1)
    yield replace(images, test_labels=images.test_labels[1:])
    yield replace(images, test_images=images.test_images[:, :4])


@pytest.mark.parametrize("case", range(4))
def test_arrays_that_do_not_fit_are_a_defect(tmp_path, case):
    with pytest.raises(ValueError):
        save(tmp_path / "new", list(broken(random_images()))[case])
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("file", sorted(FILES))
def test_a_missing_or_truncated_file_is_named(tmp_path, file):
    save(tmp_path, random_images())
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(TriptychError, match=r"delete .* and run again"):
        load_packed(tmp_path)
    (tmp_path / file).unlink()
    with pytest.raises(TriptychError, match=file):
        load_packed(tmp_path)


def test_files_of_two_data_sets_are_not_mixed(tmp_path):
    save(tmp_path / "a", random_images(train=40))
    save(tmp_path / "b", random_images(train=41))
    (tmp_path / "b/train_labels.npy").replace(tmp_path / "a/train_labels.npy")
    with pytest.raises(TriptychError, match="train files do not fit together"):
        load_packed(tmp_path / "a")


def test_a_full_disk_leaves_the_old_files_and_no_new_ones(small_disk):
    folder = small_disk / "set"
    save(folder, random_images())
    before = load_packed(folder)
    with pytest.raises(OSError) as caught:
        save(folder, random_images(train=8000))  # 1.5 MB
    assert caught.value.errno == errno.ENOSPC
    assert {path.name for path in folder.iterdir()} == FILES
    assert load_packed(folder).digest == before.digest
