"""Does a capture become a scene, how exactly and how fast? By Snakemake, as a user runs it, on two cores.

Scenes: fox (50 photographs at full resolution with reference poses), a hand-held film made of them, the
embedded orbit film, and mouse (59 phone photographs, on which no recipe of the field was tuned).
SHARED=/path/to/data is the folder with `fox` and `mouse`; by default, the one beside the project.

- `fox_seconds`: features, matches, poses and their comparison with the reference, wall time of the jobs.
- `fox_rotation_deg`, `fox_position_pct`: median errors; positions in percent of the cameras' span.
- `handheld_sharp_right`: of 50 windows of the film, those whose only sharp frame is chosen.
- `handheld_registered`, `handheld_rotation_deg`: frames with a pose, and their median error.
- `orbit_rotation_deg`, `orbit_position_pct`: as for fox, against the true cameras.
- `frames_4k_gib`: peak memory of the choice of frames of a ten-minute film in 4K.
- `film_psnr`: held-out views of the field of the hand-held film, in dB.
- `film_seconds`: wall time of the jobs from the film to these views.
- `mouse_psnr`, `mouse_registered`, `mouse_reprojection_px`, `mouse_seconds`: the same for mouse.
"""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from benchmarks._films import frames_4k_gib, handheld_sharp_right
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json, write_json

ROOT = Path(__file__).parents[1]
FOLDER = Path("results/benchmarks/scenes").absolute()
FRAMES_PER_WINDOW = 4  # of the hand-held film: half a second
CORES = 2
SFM = ("database", "sfm", "transforms", "pose_error")  # benchmark files of the jobs from frames to poses
FIELD = ("frames", *SFM[:3], "radiance", "views")


def _shared() -> Path:
    """The folder with the scenes.

    Raises:
        TriptychError: it is missing or incomplete.
    """
    folder = Path(os.environ.get("SHARED", ROOT.parent / "shared/data")).expanduser().absolute()
    if not (folder / "fox/fox_handheld.mp4").is_file() or not (folder / "mouse/images").is_dir():
        raise TriptychError(f"{folder}: fox and mouse are not there; set SHARED to the folder that has them")
    return folder


def _handheld_reference(fox: Path, target: Path) -> None:
    """The poses of all frames of the hand-held film: those of the photographs that it was made from."""
    reference = read_json(fox / "transforms.json")
    poses = {Path(frame["file_path"]).name: frame["transform_matrix"] for frame in reference["frames"]}
    windows = [one["source"] for one in read_json(fox / "fox_handheld.truth.json")["sharp_frames"]]
    frames = [
        {"file_path": f"{number:06d}.png", "transform_matrix": poses[windows[number // FRAMES_PER_WINDOW]]}
        for number in range(FRAMES_PER_WINDOW * len(windows))
    ]
    write_json(target, {"frames": frames})


def _config(shared: Path) -> dict[str, Any]:
    fox = shared / "fox"
    reference = FOLDER / "handheld.json"
    _handheld_reference(fox, reference)
    scenes = {
        "fox": {"source": "folder", "path": fox / "images", "reference": fox / "transforms.json"},
        "handheld": {"source": "video", "path": fox / "fox_handheld.mp4", "reference": reference},
        "orbit": {"source": "orbit"},
        "mouse": {"source": "folder", "path": shared / "mouse/images"},
    }
    texts = json.loads(json.dumps(scenes, default=str))
    return {
        "parts": ["reconstruction"],
        "reconstruction": {"scenes": list(scenes)},
        "scenes": texts,
        "compute": {"threads": CORES},
    }


def _run(shared: Path) -> None:
    """Compute the scenes' poses, and the fields of two of them, in `FOLDER`."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    config = FOLDER / "config.yaml"
    config.write_text(yaml.safe_dump(_config(shared)))
    poses = [f"results/scenes/{scene}/pose_error.json" for scene in ("fox", "handheld", "orbit")]
    fields = [f"results/scenes/{scene}/views.json" for scene in ("handheld", "mouse")]
    command = [sys.executable, "-m", "snakemake", *poses, *fields, "--cores", str(CORES), "--forceall"]
    options = [
        "--snakefile",
        str(ROOT / "Snakefile"),
        "--configfile",
        str(config),
        "--directory",
        str(FOLDER),
    ]
    try:
        subprocess.run([*command, *options], check=True)
    except subprocess.CalledProcessError as error:
        raise TriptychError(f"{FOLDER}: a job failed; its log is in logs/ there") from error


def _seconds(scene: str, jobs: tuple[str, ...]) -> float:
    """Wall time of jobs, by Snakemake's benchmark files."""
    total = 0.0
    for job in jobs:
        path = FOLDER / f"results/benchmarks/jobs/scenes/{scene}/{job}.tsv"
        with path.open(newline="") as stream:
            total += sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))
    return total


def measure() -> dict[str, float | str]:
    """Run the scenes, then the choice of frames of a long film."""
    shared = _shared()
    _run(shared)

    def result(scene: str, name: str) -> dict[str, Any]:
        return dict(read_json(FOLDER / f"results/scenes/{scene}/{name}.json"))

    errors = {scene: result(scene, "pose_error") for scene in ("fox", "handheld", "orbit")}
    mouse = result("mouse", "sfm")
    right, _ = handheld_sharp_right(shared / "fox/fox_handheld.mp4", shared / "fox/fox_handheld.truth.json")
    return {
        "fox_seconds": _seconds("fox", SFM),
        "fox_rotation_deg": errors["fox"]["median_rotation_degrees"],
        "fox_position_pct": errors["fox"]["median_position_percent"],
        "handheld_sharp_right": right,
        "handheld_registered": result("handheld", "sfm")["registered"],
        "handheld_rotation_deg": errors["handheld"]["median_rotation_degrees"],
        "orbit_rotation_deg": errors["orbit"]["median_rotation_degrees"],
        "orbit_position_pct": errors["orbit"]["median_position_percent"],
        "frames_4k_gib": frames_4k_gib(),
        "film_psnr": result("handheld", "views")["psnr"],
        "film_seconds": _seconds("handheld", FIELD),
        "mouse_psnr": result("mouse", "views")["psnr"],
        "mouse_registered": mouse["registered"],
        "mouse_reprojection_px": mouse["mean_reprojection_error"],
        "mouse_seconds": _seconds("mouse", FIELD),
    }
