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
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks._peers import DRIVERS, WORK, environment
from benchmarks._peers import run as run_logged
from benchmarks._scene import HOLDOUT, transforms
from triptych.config.reconstruction import Radiance
from triptych.radiance.metrics import image_psnr
from triptych.radiance.ray_sampler import read_images
from triptych.scenes.coordinates import OFFSET, SCALE, World
from triptych.scenes.scene import Scene, read_scene
from triptych.scenes.scene_files import TEST, TRAIN
from triptych.scenes.write_scene import lens_entry, write_scene_file
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, digest_of_files, read_json, write_json

log = logging.getLogger("triptych")

DOWNSCALE = 4
# The project's own defaults; time ends the training.
RECIPE = Radiance(log_every=200, evaluations=0, holdout=HOLDOUT)
SECONDS = 600.0
RENDER_LIMIT = 3600.0  # seconds after which a peer that still renders counts as failed
PEERS = ("fast_ngp", "nerfacto")


def prepare(scene: Scene, target: Path) -> None:
    """Write the scene as every contestant gets it.

    `images/NAME.png` at the size in use, a `transforms.json` with intrinsics to match and both
    lists of files, `rays/NAME.npz` (origin (3,) and directions (h, w, 3), float32, unit cubes about
    the scene's centre) for a peer that knows no lens, and `box.npz` with the side of the scene's box.
    Raises `TriptychError` if the scene has what not every contestant understands.
    """
    if any(scene.masks) or (scene.cameras.fisheye is not None and scene.cameras.fisheye.any()):
        raise TriptychError("the scene has masks or fisheye lenses; use one of plain photographs")
    (target / "images").mkdir()
    (target / "rays").mkdir()
    cameras, world, heldout = scene.cameras, World(SCALE, np.full(3, OFFSET)), scene.split(HOLDOUT)[1]
    frames: list[dict[str, Any]] = []
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
        lens = torch.cat([cameras.focal[i], cameras.centre[i], cameras.distortion[i], cameras.size[i]])
        pose = world.pose(cameras.rotation[i].double().numpy(), cameras.position[i].double().numpy())
        frames.append(
            {
                "file_path": f"images/{name}.png",
                **lens_entry(lens.tolist(), fisheye=False),
                "split": TEST if i in heldout else TRAIN,
                "transform_matrix": pose.tolist(),
            }
        )
    np.savez(target / "box.npz", side=float(scene.aabb_scale))
    write_scene_file(target / "transforms.json", frames, aabb_scale=scene.aabb_scale)


def contest(name: str, python: Path, scene: Path, seconds: float) -> dict[str, float]:
    """One contestant: train, render, measure. Its pictures stay in results/benchmarks/peers/NAME/run.
    Raises `TriptychError` if its driver fails.
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
            run_logged(command, WORK / name / "run.log", limit=seconds + RENDER_LIMIT)
            write_json(output / "key.json", key)
    numbers = read_json(run / "numbers.json")
    return {
        "psnr": heldout_psnr(scene, run),
        "steps_per_second": numbers["steps"] / numbers["seconds"],
        **{key: numbers[key] for key in ("rays_per_step", "peak_gib", "render_seconds")},
    }


def heldout_psnr(scene: Path, pictures: Path) -> float:
    """Mean PSNR over all held-out views of the pictures in a folder.
    Raises `TriptychError` if one is missing or has another size.
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
        prepare(read_scene(transforms(), downscale=DOWNSCALE), target)
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
