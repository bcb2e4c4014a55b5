"""A film may follow a recorded camera path; one that is missing or malformed stops everything beforehand."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from triptych.scenes.keyframes import CameraPath, Keyframe, write_camera_path

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
FILM = "results/scenes/orbit/flythrough.mp4"


def dry_run(folder: Path, path: Path, *, within: str) -> subprocess.CompletedProcess[str]:
    """Plan the film of a study whose config names `path`."""
    film = {"flythrough": {"path": str(path)}}
    changes = {"reconstruction": film} if within == "reconstruction" else {"scenes": {"orbit": film}}
    overlay = folder / "overlay.yaml"
    overlay.write_text(yaml.safe_dump({"parts": ["reconstruction"], **changes}))
    files = [str(ROOT / "presets/test.yaml"), str(overlay)]
    command = [
        SNAKEMAKE,
        "--snakefile",
        ROOT / "Snakefile",
        "--cores",
        "1",
        "--dry-run",
        FILM,
        "--directory",
        folder,
    ]
    return subprocess.run([*command, "--configfile", *files], capture_output=True, text=True)


def write(path: Path, *, scene: str) -> None:
    keyframes = (Keyframe(np.eye(4), 40.0),) * 2
    write_camera_path(path, CameraPath(keyframes, 1.0, 4.0, 1.5), scene=scene)


def test_a_path_that_is_missing_or_of_another_scene_stops_everything_beforehand(tmp_path: Path) -> None:
    path = tmp_path / "path.json"
    missing = dry_run(tmp_path, path, within="scenes")
    assert missing.returncode != 0
    assert (
        f"{path}, does not exist; record it with `make view SCENE=orbit`" in missing.stdout + missing.stderr
    )
    write(path, scene="elsewhere")
    foreign = dry_run(tmp_path, path, within="reconstruction")
    assert foreign.returncode != 0
    assert f"{path}: recorded in scene elsewhere, not in orbit" in foreign.stdout + foreign.stderr


@pytest.mark.parametrize("within", ["reconstruction", "scenes"])
def test_a_film_follows_a_path_that_is_there(tmp_path: Path, within: str) -> None:
    write(tmp_path / "path.json", scene="orbit")
    planned = dry_run(tmp_path, tmp_path / "path.json", within=within)
    assert planned.returncode == 0, planned.stderr[-3000:]
    assert "Radiance field of orbit: fly-through" in planned.stdout + planned.stderr
