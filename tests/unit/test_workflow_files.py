"""Files are complete or absent."""

import errno
import json
import math
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from triptych.workflow.files import (
    atomic_folder,
    atomic_path,
    digest_of_files,
    digest_of_value,
    read_json,
    write_json,
)


def test_a_failed_write_leaves_the_old_file_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_folder_and_no_rubbish(tmp_path: Path) -> None:
    target = tmp_path / "frames"
    with atomic_folder(target) as temporary:
        (temporary / "1.png").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(target) as temporary:
        (temporary / "2.png").write_text("new")
        raise RuntimeError
    assert [path.name for path in target.iterdir()] == ["1.png"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "weights.npy"
    with (
        pytest.raises(OSError, match="No space left"),
        atomic_path(target),
        Path("/dev/full").open("wb") as full,
    ):
        full.write(b"x" * 100_000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("write", [atomic_path, atomic_folder])
def test_an_error_on_a_full_disk_says_so_whatever_the_writer_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Any
) -> None:
    for free, expected in ((10**9, RuntimeError), (1000, OSError)):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        with pytest.raises(expected) as caught, write(tmp_path / "target.db"):
            raise RuntimeError("COLMAP's words")
    assert caught.value.errno == errno.ENOSPC


def test_files_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_json(tmp_path / "a.json", {})
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640


def test_json_has_no_nan_and_takes_numpy_numbers(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"a": math.nan, "b": np.float32(0.5), "c": [np.int64(3), math.inf]})
    assert read_json(tmp_path / "a.json") == {"a": None, "b": 0.5, "c": [3, None]}
    json.loads((tmp_path / "a.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_digests_depend_on_content_and_not_on_order_or_place(tmp_path: Path) -> None:
    assert digest_of_value({"a": 1, "b": 2}) == digest_of_value({"b": 2, "a": 1}) != digest_of_value({"a": 1})
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "1").write_text("one")
        (tmp_path / folder / "2").write_text("two")
    here = [str(tmp_path / "x/1"), str(tmp_path / "x/2")]
    there = [str(tmp_path / "y/2"), str(tmp_path / "y/1")]
    assert digest_of_files(here) == digest_of_files(there) != digest_of_files(here[:1])


def test_names_of_files_that_are_no_utf8_are_written_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"\x8e\xfd.jpg")
    write_json(tmp_path / "a.json", {name: 1})
    assert read_json(tmp_path / "a.json") == {name: 1}
