"""No file that somebody brings makes its reader fail otherwise than in one line: a few mutations of each.

`make fuzz` tries many more.
"""

import re
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz.readers import READERS, check  # noqa: E402

from triptych.data.image_files import load_image  # noqa: E402
from triptych.scenes.sparse_points import read_points  # noqa: E402
from triptych.workflow.errors import TriptychError  # noqa: E402

SLOW = ("config",)  # of which fewer files are read


@pytest.mark.parametrize("name", READERS)
def test_mutated_files_are_read_or_refused_in_one_line(name: str) -> None:
    @settings(
        max_examples=3 if name in SLOW else 8,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(READERS[name].contents)
    def attempt(content: bytes) -> None:
        check(READERS[name], content)

    attempt()


def test_images_are_opened_in_known_formats_alone() -> None:
    calls = [
        f"{path.name}: {call}"
        for path in (ROOT / "src").rglob("*.py")
        for call in re.findall(r"Image\.open\(.*", path.read_text(encoding="utf-8"))
    ]
    assert calls and all("formats=FORMATS" in call for call in calls), calls


def test_a_postscript_file_starts_no_interpreter_whatever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    interpreter = tmp_path / "bin/gs"
    interpreter.parent.mkdir()
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", str(interpreter.parent), prepend=":")
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "a.png").write_bytes(page)
    with pytest.raises(TriptychError, match="damaged or of an unknown type"):
        load_image(tmp_path / "a.png")
    (tmp_path / "a.ply").write_bytes(
        b"ply\nformat ascii 1.0\ncomment TextureFile a.png\nelement vertex 1\nproperty float x\n"
        b"property float y\nproperty float z\nend_header\n0 0 0\n"
    )
    with pytest.raises(TriptychError):
        read_points(tmp_path / "a.ply")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("size", [(20_000, 20_000), (200_000, 3000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_absurd_size_is_refused_by_its_header(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.png").write_bytes(b"P6 %d %d 255\n" % size)
    with pytest.raises(TriptychError, match="pixels"):
        load_image(tmp_path / "a.png", header_only=True)
