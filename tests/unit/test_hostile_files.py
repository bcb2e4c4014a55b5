"""No file that somebody brings makes its reader fail otherwise than in one line: a few mutations of each.

`make fuzz` tries many more.
"""

import json
import re
import resource
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.fuzz.readers import READERS, check  # noqa: E402

from triptych.data.image_files import load_image  # noqa: E402
from triptych.scenes.sparse_points import read_points  # noqa: E402
from triptych.training.checkpoint import Checkpoints, restoring  # noqa: E402
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
    assert calls and all("formats=" in call for call in calls), calls


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


@pytest.mark.parametrize(
    "changes",
    [
        {"levels": 10**9},
        {"log2_table": 60},
        {"features": 2**40},
        {"images": 10**6, "appearance": 1000},
        {"aabb_scale": 3},
        {"levels": 3},
        {"base_resolution": 0},
        {"finest_resolution": 1.5},
        {"modules": "os"},
    ],
)
def test_the_shapes_of_a_foreign_field_are_checked_before_anything_is_allocated(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    READERS["field_description"].beside(tmp_path)
    description = json.loads((tmp_path / "field.json").read_text())
    description["shape"] |= changes
    (tmp_path / "field.json").write_text(json.dumps(description))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(TriptychError, match="cannot be loaded"):
        READERS["field_description"].read(tmp_path / "field.json")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize("state", [{}, {"model": 1}, {"optimizer": {}}, [1], {"epoch": "x", "model": {}}])
def test_a_checkpoint_that_is_none_of_this_training_is_named_in_one_line(tmp_path: Path, state: Any) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    checkpoints.save(1, state)
    saved: Any = checkpoints.load()
    message = "run: the checkpoint is none of this training"
    with pytest.raises(TriptychError, match=message), restoring(checkpoints):
        torch.nn.Linear(2, 2).load_state_dict(saved["model"])
