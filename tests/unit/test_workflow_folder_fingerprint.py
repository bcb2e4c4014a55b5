"""A folder's fingerprint changes exactly when its files do."""

import os

import pytest

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_file
from triptych.workflow.folder_fingerprint import folder_fingerprint
from triptych.workflow.records import RECORDS


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.png").write_bytes(b"aaa")
    (tmp_path / "sub" / "b.png").write_bytes(b"bbb")
    return tmp_path


def test_is_the_same_for_the_same_files_wherever_the_folder_is(folder, tmp_path_factory):
    before = folder_fingerprint(folder)
    assert folder_fingerprint(str(folder) + "/") == before
    assert folder_fingerprint(folder.rename(tmp_path_factory.mktemp("other") / "moved")) == before


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "c.png").write_bytes(b"c"),
        lambda folder: (folder / "sub" / "b.png").unlink(),
        lambda folder: (folder / "sub" / "b.png").write_bytes(b"longer"),
        lambda folder: (folder / "a.png").write_bytes(b"aab"),
        lambda folder: (folder / "a.png").rename(folder / "renamed.png"),
    ],
    ids=["added", "removed", "grown", "edited", "renamed"],
)
def test_changes_when_a_file_is(folder, change):
    before = folder_fingerprint(folder)
    change(folder)
    assert folder_fingerprint(folder) != before


def test_other_times_change_nothing(folder):
    before = folder_fingerprint(folder)
    os.utime(folder / "a.png", ns=(1, 1))
    assert folder_fingerprint(folder) == before


def test_a_file_is_read_once_in_a_study(folder, tmp_path_factory, monkeypatch):
    monkeypatch.chdir(tmp_path_factory.mktemp("study"))
    RECORDS.mkdir(parents=True)
    before = folder_fingerprint(folder)
    (folder / "c.png").write_bytes(b"ccc")
    read = []
    monkeypatch.setattr(
        "triptych.workflow.folder_fingerprint.digest_of_file",
        lambda path: read.append(path.name) or digest_of_file(path),
    )
    after = folder_fingerprint(folder)
    assert after == folder_fingerprint(folder) != before and read == ["c.png"]


def test_hidden_files_do_not_count(folder):
    before = folder_fingerprint(folder)
    (folder / ".DS_Store").write_bytes(b"noise")
    (folder / ".cache").mkdir()
    assert folder_fingerprint(folder) == before


def test_a_dangling_link_counts_instead_of_failing(folder):
    before = folder_fingerprint(folder)
    (folder / "link.png").symlink_to(folder / "nowhere.png")
    assert folder_fingerprint(folder) != before


def test_a_missing_folder_or_a_file_is_named(tmp_path):
    with pytest.raises(TriptychError, match="absent: there is no such folder"):
        folder_fingerprint(tmp_path / "absent")
    (tmp_path / "file").touch()
    with pytest.raises(TriptychError, match="is a file, not a folder"):
        folder_fingerprint(tmp_path / "file")
