"""What paths in a config mean."""

from pathlib import Path

import pytest
from changed_config import changed, complaint, valid


def test_the_home_folder_may_be_written_as_a_tilde() -> None:
    config = valid("scenes.desk", {"source": "video", "path": "~/desk.mp4"})
    assert config["scenes"]["desk"]["path"] == str(Path.home() / "desk.mp4")


def test_variables_in_paths_are_replaced_unless_there_is_such_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGES", "/data/images")
    (tmp_path / "US$IMAGES").mkdir()
    for path, expected in (("$IMAGES/a", "/data/images/a"), ("US$IMAGES", "US$IMAGES")):
        config = valid("datasets.mine", {"source": "folder", "path": path, "labels": "${IMAGES}/a.csv"})
        assert config["datasets"]["mine"]["path"] == expected
        assert config["datasets"]["mine"]["labels"] == "/data/images/a.csv"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "$NOT_SET_HERE/a",
            "config: datasets.mine.path is '$NOT_SET_HERE/a', but the variable NOT_SET_HERE is",
        ),
        (r"C:\Users\me\flowers", "(in WSL: /mnt/c/Users/me/flowers)"),
        ("D:/flowers", "is 'D:/flowers', a path of Windows"),
        (" ", "config: datasets.mine.path is empty"),
    ],
)
def test_a_path_that_means_nothing_here_is_refused(path: str, expected: str) -> None:
    assert expected in complaint(changed("datasets.mine", {"source": "folder", "path": path}))


def test_a_relative_path_is_relative_to_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.setenv("TRIPTYCH_CALLER", str(tmp_path))
    config = valid("datasets.mine", {"source": "folder", "path": "flowers"})
    assert config["datasets"]["mine"]["path"] == str(tmp_path / "flowers")
    monkeypatch.chdir(tmp_path)
    config = valid("datasets.mine", {"source": "folder", "path": "flowers"})
    assert config["datasets"]["mine"]["path"] == "flowers"
