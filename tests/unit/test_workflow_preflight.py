"""A machine that Snakemake cannot run on is one clear line."""

import os
import tempfile
from pathlib import Path

import pytest
from full_disk import full_disk

from triptych.workflow.preflight import (
    choose_cache,
    choose_temporary_folder,
    problem_of_folder,
    problem_of_project,
    working_folder,
)


@pytest.mark.parametrize(
    ("arguments", "folder"),
    [
        ([], "."),
        (["-n"], "."),
        (["-n", "--directory", "studies/mine", "-c1"], "studies/mine"),
        (["--directory=studies/mine"], "studies/mine"),
        (["-d", "studies/mine"], "studies/mine"),
    ],
)
def test_the_folder_of_the_study_is_read_from_the_command_line(arguments: list[str], folder: str) -> None:
    assert working_folder(arguments) == Path(folder)


def test_a_folder_without_room_is_named_and_one_that_does_not_exist_yet_is_accepted(tmp_path: Path) -> None:
    assert problem_of_folder(tmp_path / "my studies/中文") is None
    with full_disk():
        problem = problem_of_folder(tmp_path / "studies")
    assert problem is not None and problem.startswith(f"{tmp_path}: File too large; free some space there")


def test_braces_in_the_path_of_the_project_are_refused_and_in_that_of_a_study_accepted(
    tmp_path: Path,
) -> None:
    assert problem_of_project(Path("/a{b}")) == (
        "/a{b}: Snakemake takes the braces for variables; rename the project's folder"
    )
    assert problem_of_project(Path("/home/a b/中文")) is None
    assert problem_of_folder(tmp_path / "{1}") is None


def test_caches_go_elsewhere_if_the_home_folder_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert choose_cache() is None
    (tmp_path / "file").touch()
    monkeypatch.setenv("HOME", str(tmp_path / "file"))
    assert "file/.cache cannot be written; caches are kept in" in str(choose_cache())
    assert Path(os.environ["XDG_CACHE_HOME"]).parent == tmp_path


def test_temporary_files_go_elsewhere_if_their_folder_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", f"{tmp_path}/missing")
    note = choose_temporary_folder()
    assert note == f"{tmp_path}/missing: No such file or directory; temporary files are kept in /tmp"
    assert os.environ["TMPDIR"] == "/tmp" and choose_temporary_folder() is None
