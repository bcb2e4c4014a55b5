"""Does a capture become a scene, how exactly and how fast? By Snakemake, as a user runs it, on two cores.

The bars below are measured one after the other. Variables of the environment:

- SHARED=/path/to/data, the folder with `fox` and `mouse`; by default, the one beside the project.
- BARS="fox orbit" measures some of them; the others are reported as measured before. A bar that was stopped
  goes on where it was. Delete results/benchmarks/scenes to measure again.
- CONFIG=/path/to/more.yaml, further settings of the study, to try out the benchmark itself.

The bars and their metrics:

- fox, 50 photographs at full resolution with reference poses: `fox_seconds`, wall time of features, matches,
  poses and their comparison with the reference. `fox_rotation_deg`, `fox_position_pct`: median errors;
  positions in percent of the cameras' span. `fox_psnr`: held-out views in dB, with the default recipe, which
  was tuned on these views.
- mouse, 59 phone photographs on which no recipe was tuned: `mouse_psnr`, `mouse_registered`,
  `mouse_reprojection_px`, `mouse_seconds` (the whole chain).
- handheld, a film made of the fox's photographs. Of 50 windows, `handheld_sharp_right` are those whose only
  sharp frame is chosen; `handheld_registered`, `handheld_rotation_deg`: frames with a pose, and their median
  error. `film_psnr`: held-out views of its field; `film_seconds` from the film to these views, of which
  `film_frames_seconds`, `film_poses_seconds` and `film_training_seconds`.
- orbit, the embedded film: `orbit_rotation_deg`, `orbit_position_pct`, against the true cameras.
- frames_4k: `frames_4k_gib`, peak memory of the choice of frames of a ten-minute film in 4K.
"""

import csv
import os
import subprocess
import sys
from collections.abc import Callable
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
POSES = ("database", "sfm", "transforms")  # benchmark files of the jobs from frames to poses
CHAIN = ("frames", *POSES, "radiance", "views")


def _shared() -> Path:
    """The folder with the scenes. Raises `TriptychError` if it is missing or incomplete."""
    folder = Path(os.environ.get("SHARED", ROOT.parent / "shared/data")).expanduser().absolute()
    if not (folder / "fox/fox_handheld.mp4").is_file() or not (folder / "mouse/images").is_dir():
        raise TriptychError(f"{folder}: fox and mouse are not there; set SHARED to the folder that has them")
    return folder


def _handheld_reference(fox: Path) -> Path:
    """The poses of all frames of the hand-held film: those of the photographs that it was made from."""
    reference = read_json(fox / "transforms.json")
    poses = {Path(frame["file_path"]).name: frame["transform_matrix"] for frame in reference["frames"]}
    windows = [one["source"] for one in read_json(fox / "fox_handheld.truth.json")["sharp_frames"]]
    frames = [
        {"file_path": f"{number:06d}.png", "transform_matrix": poses[windows[number // FRAMES_PER_WINDOW]]}
        for number in range(FRAMES_PER_WINDOW * len(windows))
    ]
    target = FOLDER / "handheld.json"
    write_json(target, {"frames": frames})
    return target


def _run(scene: str, declaration: dict[str, Any], *results: str) -> list[dict[str, Any]]:
    """Compute results of a scene, and read them."""
    config = FOLDER / f"{scene}.yaml"
    settings = {
        "parts": ["reconstruction"],
        "reconstruction": {"scenes": [scene]},
        "scenes": {scene: {key: str(value) for key, value in declaration.items()}},
        "compute": {"threads": CORES},
    }
    config.write_text(yaml.safe_dump(settings))
    more = [str(Path(os.environ["CONFIG"]).absolute())] if "CONFIG" in os.environ else []
    targets = [f"results/scenes/{scene}/{name}.json" for name in results]
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(FOLDER)]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", str(CORES), *where]
    try:
        subprocess.run([*command, "--configfile", str(config), *more], check=True)
    except subprocess.CalledProcessError as error:
        raise TriptychError(f"{FOLDER}: a job failed; its log is in results/logs there") from error
    return [dict(read_json(FOLDER / target)) for target in targets]


def _seconds(scene: str, *jobs: str) -> float:
    """Wall time of jobs, by Snakemake's benchmark files."""
    total = 0.0
    for job in jobs:
        path = FOLDER / f"results/benchmarks/jobs/scenes/{scene}/{job}.tsv"
        with path.open(newline="") as stream:
            total += sum(float(row["s"]) for row in csv.DictReader(stream, delimiter="\t"))
    return total


def fox() -> dict[str, float | str]:
    """Photographs with reference poses, and their field."""
    folder = _shared() / "fox"
    scene = {"source": "folder", "path": folder / "images", "reference": folder / "transforms.json"}
    error, views = _run("fox", scene, "pose_error", "views")
    return {
        "fox_seconds": _seconds("fox", *POSES, "pose_error"),
        "fox_rotation_deg": error["median_rotation_degrees"],
        "fox_position_pct": error["median_position_percent"],
        "fox_psnr": views["psnr"],
    }


def mouse() -> dict[str, float | str]:
    """The same chain for photographs on which nothing was tuned."""
    sfm, views = _run("mouse", {"source": "folder", "path": _shared() / "mouse/images"}, "sfm", "views")
    return {
        "mouse_psnr": views["psnr"],
        "mouse_registered": sfm["registered"],
        "mouse_reprojection_px": sfm["mean_reprojection_error"],
        "mouse_seconds": _seconds("mouse", *CHAIN),
    }


def handheld() -> dict[str, float | str]:
    """From a film to its field."""
    folder = _shared() / "fox"
    film = folder / "fox_handheld.mp4"
    right, _ = handheld_sharp_right(film, folder / "fox_handheld.truth.json")
    scene = {"source": "video", "path": film, "reference": _handheld_reference(folder)}
    sfm, error, views = _run("handheld", scene, "sfm", "pose_error", "views")
    return {
        "handheld_sharp_right": right,
        "handheld_registered": sfm["registered"],
        "handheld_rotation_deg": error["median_rotation_degrees"],
        "film_psnr": views["psnr"],
        "film_seconds": _seconds("handheld", *CHAIN),
        "film_frames_seconds": _seconds("handheld", "frames"),
        "film_poses_seconds": _seconds("handheld", *POSES),
        "film_training_seconds": _seconds("handheld", "radiance"),
    }


def orbit() -> dict[str, float | str]:
    """The embedded film, whose true cameras are known."""
    (error,) = _run("orbit", {"source": "orbit"}, "pose_error")
    return {
        "orbit_rotation_deg": error["median_rotation_degrees"],
        "orbit_position_pct": error["median_position_percent"],
    }


def frames_4k() -> dict[str, float | str]:
    """The memory that a long film takes."""
    return {"frames_4k_gib": frames_4k_gib()}


BARS: dict[str, Callable[[], dict[str, float | str]]] = {
    bar.__name__: bar for bar in (orbit, fox, handheld, mouse, frames_4k)
}


def measure() -> dict[str, float | str]:
    """Measure the chosen bars, and report all that have been measured."""
    chosen = os.environ.get("BARS", " ".join(BARS)).replace(",", " ").split()
    if unknown := set(chosen) - BARS.keys():
        raise TriptychError(f"BARS: there is no {', '.join(sorted(unknown))}; there are {', '.join(BARS)}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    metrics: dict[str, float | str] = {}
    for name, bar in BARS.items():
        measured = FOLDER / f"{name}.measured.json"
        if name in chosen:
            write_json(measured, bar())
        metrics |= read_json(measured) if measured.is_file() else {name: "missing: not measured yet"}
    return metrics
