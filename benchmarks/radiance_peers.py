"""How much closer to held-out photographs does a radiance field get than other libraries' on a CPU?

The scene is read at a quarter of its resolution; every 8th image is held out. The implementations train one
after the other, each for the same minutes on all cores, with the same poses, lens and 8-bit pixels. The same
code compares their renderings of the held-out views with the photographs.

- `over_fast_ngp_db`, `over_nerfacto_db`: mean PSNR over all held-out views, minus the peer's.
- `NAME_psnr`, `NAME_steps_per_second`, `NAME_rays_per_step`, `NAME_peak_gib`, `NAME_render_seconds`
  (of all held-out views; not counted) of each. NAME is `triptych`, `fast_ngp` or `nerfacto`.

Environment variables: SCENE names a transforms.json; BENCH_SECONDS is the time of each training (600);
BENCH_REUSE=1 takes a peer's pictures from an earlier run on the same scene, with the same seconds
and the same driver, instead of training it again.

Peers run in their own environments, made here from benchmarks/peers/*.txt. If a peer cannot be installed or
run, its metrics have the reason instead of numbers.
benchmarks/peers/run_*.py say which settings differ from the peers' defaults, and why.
"""

import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.config.reconstruction import Radiance
from triptych.radiance.metrics import image_psnr
from triptych.radiance.ray_sampler import read_images
from triptych.scenes.coordinates import OFFSET, SCALE
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, digest_of_files, read_json, write_json

log = logging.getLogger("triptych")

DOWNSCALE, HOLDOUT = 4, 8
# The project's own defaults; time ends the training.
RECIPE = Radiance(log_every=200, evaluations=0, holdout=HOLDOUT)
SECONDS = 600.0
RENDER_LIMIT = 3600.0  # seconds after which a peer that still renders counts as failed
FOX = Path("../shared/data/fox/transforms.json")
DRIVERS = Path(__file__).parent / "peers"
WORK = Path("results/benchmarks/peers")
PEERS = ("fast_ngp", "nerfacto")


def scene_file() -> Path:
    """The transforms.json to use.

    Raises:
        TriptychError: none is named, and the default one is not there.
    """
    path = Path(os.environ.get("SCENE", FOX))
    if not path.is_file():
        raise TriptychError(f"{path}: not found; set SCENE to the transforms.json of a scene of photographs")
    return path


def prepare(scene: Scene, target: Path) -> None:
    """Write the scene as every contestant gets it.

    `images/NAME.png` at the size in use, a `transforms.json` with intrinsics to match and both
    lists of files, `rays/NAME.npz` (origin (3,) and directions (h, w, 3), float32, unit cubes about
    the scene's centre) for a peer that knows no lens, and `box.npz` with the side of the scene's box.

    Raises:
        TriptychError: the scene has what not every contestant understands.
    """
    if any(scene.masks) or (scene.cameras.fisheye is not None and scene.cameras.fisheye.any()):
        raise TriptychError("the scene has masks or fisheye lenses; use one of plain photographs")
    training, heldout = scene.split(HOLDOUT)
    (target / "images").mkdir()
    (target / "rays").mkdir()
    cameras, frames = scene.cameras, []
    images = read_images(scene, list(range(len(scene.names))))
    for i, (name, image) in enumerate(zip(scene.names, images, strict=True)):
        if image.shape[-1] != 3:
            raise TriptychError(f"{scene.files[i]}: has an alpha channel; use a scene of photographs")
        Image.fromarray(image.numpy()).save(target / "images" / f"{name}.png")
        width, height = cameras.size[i].tolist()
        origins, directions = cameras.image_rays(i)
        np.savez(
            target / "rays" / f"{name}.npz",
            origin=(origins[0] - OFFSET).numpy(),
            directions=directions.reshape(height, width, 3).numpy(),
        )
        pose = np.eye(4)
        pose[:3, :3] = cameras.rotation[i].numpy() * [1, -1, -1]  # OpenCV's axes to OpenGL's
        pose[:3, 3] = (cameras.position[i].numpy() - OFFSET) / SCALE
        (fx, fy), (cx, cy) = cameras.focal[i].tolist(), cameras.centre[i].tolist()
        lens = dict(zip(("k1", "k2", "p1", "p2"), cameras.distortion[i].tolist(), strict=True))
        frames.append(
            {
                "file_path": f"images/{name}.png",
                "transform_matrix": pose.tolist(),
                "fl_x": fx,
                "fl_y": fy,
                "cx": cx,
                "cy": cy,
                "w": width,
                "h": height,
                **lens,
            }
        )
    np.savez(target / "box.npz", side=float(scene.aabb_scale))
    content = {
        "camera_model": "OPENCV",
        "aabb_scale": scene.aabb_scale,
        "frames": frames,
        "train_filenames": [frames[i]["file_path"] for i in training],
        "test_filenames": [frames[i]["file_path"] for i in heldout],
    }
    write_json(target / "transforms.json", content)


def _run(command: list[str | Path], log_file: Path, *, limit: float | None = None) -> None:
    """Run a command with its output in `log_file`; a failure says the last line of it."""
    with log_file.open("w") as stream:
        try:
            code = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, timeout=limit).returncode
        except subprocess.TimeoutExpired as error:
            raise TriptychError(f"not done after {limit:.0f} s; its output is in {log_file}") from error
    if code:
        last = (log_file.read_text(errors="replace").strip().splitlines() or ["no output"])[-1]
        raise TriptychError(f"{last.strip()[:200]} (exit code {code}; all its output is in {log_file})")


def environment(peer: str) -> Path:
    """The Python of the peer's own environment, which is made if it is missing or its pins have changed.

    Raises:
        TriptychError: it cannot be made.
    """
    pins = DRIVERS / f"{peer}.txt"
    venv = (WORK / peer / "venv").resolve()
    mark, state = venv / "installed.json", {"pins": digest_of_files([str(pins)])}
    if not mark.is_file() or read_json(mark) != state:
        log.info("installing %s into %s", peer, venv)
        venv.parent.mkdir(parents=True, exist_ok=True)
        _run([sys.executable, "-m", "venv", "--clear", venv], WORK / peer / "install.log")
        python = venv / "bin" / "python"
        _run([python, "-m", "pip", "install", "--requirement", pins], WORK / peer / "install.log")
        write_json(mark, state)
    return venv / "bin" / "python"


def contest(name: str, python: Path, scene: Path, seconds: float) -> dict[str, float]:
    """One contestant: train, render, measure. Its pictures stay in results/benchmarks/peers/NAME/run.

    Raises:
        TriptychError: its driver failed.
    """
    driver, run = DRIVERS / f"run_{name}.py", WORK / name / "run"
    sources = [str(driver), str(DRIVERS / "contestant.py"), str(scene / "transforms.json")]
    sources += map(str, sorted((scene / "images").iterdir()))
    key = {"files": digest_of_files(sources), "seconds": seconds}
    done = run / "key.json"
    reusable = name in PEERS and os.environ.get("BENCH_REUSE") == "1"
    if not (reusable and done.is_file() and read_json(done) == key):
        log.info("%s: %.0f s of training, then its pictures", name, seconds)
        with atomic_folder(run) as output:
            command: list[str | Path] = [python, driver.resolve(), scene, output.resolve(), str(seconds)]
            _run(command, WORK / name / "run.log", limit=seconds + RENDER_LIMIT)
            write_json(output / "key.json", key)
    numbers = read_json(run / "numbers.json")
    return {
        "psnr": heldout_psnr(scene, run),
        "steps_per_second": numbers["steps"] / numbers["seconds"],
        **{key: numbers[key] for key in ("rays_per_step", "peak_gib", "render_seconds")},
    }


def heldout_psnr(scene: Path, pictures: Path) -> float:
    """Mean PSNR over all held-out views of the pictures in a folder.

    Raises:
        TriptychError: a picture is missing or has another size.
    """
    values = []
    for file in read_json(scene / "transforms.json")["test_filenames"]:
        rendered = pictures / Path(file).name
        if not rendered.is_file():
            raise TriptychError(f"{rendered}: not rendered")
        truth, picture = (np.array(Image.open(path)) / 255 for path in (scene / file, rendered))
        if truth.shape != picture.shape:
            raise TriptychError(f"{rendered}: is {picture.shape}, but the photograph is {truth.shape}")
        values.append(image_psnr(picture, truth))
    return float(np.mean(values))


def measure() -> dict[str, float | str]:
    """Let triptych and each peer train and render, one after the other."""
    seconds = float(os.environ.get("BENCH_SECONDS", SECONDS))
    with atomic_folder(WORK / "scene") as target:
        prepare(read_scene(scene_file(), downscale=DOWNSCALE), target)
        write_json(target / "recipe.json", RECIPE.model_dump())
    scene = (WORK / "scene").resolve()
    for name in ("triptych", *PEERS):
        (WORK / name).mkdir(exist_ok=True)
    own = contest("triptych", Path(sys.executable), scene, seconds)
    metrics: dict[str, float | str] = {}
    details: dict[str, float | str] = {f"triptych_{key}": value for key, value in own.items()}
    for peer in PEERS:
        try:
            other = contest(peer, environment(peer), scene, seconds)
        except TriptychError as error:
            metrics[f"over_{peer}_db"] = f"missing: {error}"
            continue
        metrics[f"over_{peer}_db"] = own["psnr"] - other["psnr"]
        details |= {f"{peer}_{key}": value for key, value in other.items()}
    return {**metrics, **details, "training_seconds": seconds}
