"""What studies share: downloads and packed data sets, checked when they are used."""

import json
import os
from functools import partial

import numpy as np
import pytest
from test_data_packed import random_images

from triptych.data.packed import load_packed, save_packed
from triptych.data.shared import LARGE, share_file, share_pack
from triptych.workflow.files import digest_of_file


@pytest.fixture
def pack(tmp_path):
    """Share a pack as a study of this name does; tells whether it was packed."""

    def share(study, *, key="key", images=None):
        packed = []

        def make():
            packed.append(study)
            save_packed(tmp_path / study, images or random_images(), name=study, provenance={"seed": 1})

        shared = tmp_path / "cache/packed" / key
        share_pack(shared, tmp_path / study, name=study, path=f"/{study}", make=make)
        return bool(packed)

    return share


def test_a_second_study_takes_what_the_first_has_packed(tmp_path, pack):
    assert pack("first") and not pack("second") and pack("third", key="other")
    first, second = load_packed(tmp_path / "first"), load_packed(tmp_path / "second")
    assert np.array_equal(first.train_images, second.train_images)
    assert (second.name, second.source["path"]) == ("second", "/second")
    assert (tmp_path / "first/train_images.npy").stat().st_nlink == 3
    assert {path.name for path in (tmp_path / "second").iterdir()} == {
        path.name for path in (tmp_path / "first").iterdir()
    }


@pytest.mark.parametrize("damage", ["truncate", "change", "description", "lose"])
def test_a_damaged_pack_is_not_used(tmp_path, pack, damage):
    pack("first")
    file = tmp_path / "cache/packed/key/train_images.npy"
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[:500])
    elif damage == "change":
        file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "lose":
        file.unlink()
    else:
        description = file.with_name("dataset.json")
        changed = json.loads(description.read_text()) | {"classes": ["b", "a"]}
        description.write_text(json.dumps(changed))
    assert pack("second") and not pack("third")
    assert load_packed(tmp_path / "third").classes == random_images().classes


def test_large_packs_that_no_study_uses_are_removed(tmp_path, pack):
    pack("first", key="small")
    pack("second", key="large")
    for name in ("first", "second"):
        for file in (tmp_path / name).iterdir():
            file.unlink()
    os.truncate(tmp_path / "cache/packed/large/test_images.npy", LARGE)
    pack("third", key="new")
    assert {path.name for path in (tmp_path / "cache/packed").iterdir()} == {"small", "new"}


def test_a_download_is_shared_and_checked(tmp_path):
    made = []

    def download(target):
        made.append(target)
        target.parent.mkdir()
        target.write_text("archive")

    shared, hashes = tmp_path / "cache/archive", {}
    for study in ("first", "second"):
        target = tmp_path / study / "archive"
        share_file(shared, target, hashes, make=partial(download, target))
        hashes = {"sha256": digest_of_file(target)}
    assert [target.parent.name for target in made] == ["first"]
    (tmp_path / "third").mkdir()
    shared.unlink()
    shared.write_text("damaged")
    target = tmp_path / "fourth/archive"
    share_file(shared, target, hashes, make=partial(download, target))
    assert target.read_text() == shared.read_text() == "archive"


def test_a_folder_that_cannot_be_written_costs_nothing(tmp_path, pack):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache/packed").write_text("a file is in the way")
    assert pack("first") and pack("second")
