"""The ball's scene file with changes, and the message of its import."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sphere_scene import write_ball_scene
from test_scenes_import import take

from triptych.workflow.errors import TriptychError

Change = Callable[[dict[str, Any]], object]


def scene(folder: Path, change: Change = lambda content: None, *, images: int = 3) -> Path:
    """The ball's scene file, changed."""
    path = write_ball_scene(folder / "ball", images=images)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def each(change: Callable[[dict[str, Any]], object]) -> Change:
    def all_of(content: dict[str, Any]) -> None:
        for frame in content["frames"]:
            change(frame)

    return all_of


def message_of(path: Path) -> str:
    with pytest.raises(TriptychError) as caught:
        take(path, path.parent / "results")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    str(caught.value).encode()
    return str(caught.value)


def renamed(change: Callable[[str], str]) -> Change:
    return each(lambda frame: frame.update(file_path=change(frame["file_path"])))


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
