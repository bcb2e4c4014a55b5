"""A scene trained and rendered by NVlabs' Instant-NGP.

It sees the same images, masks, lenses and poses as the own backend, at the size in use, and its pictures are
measured in the same way.
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from triptych.data.image_files import load_image
from triptych.data.video import write_video
from triptych.radiance.evaluate import Pictures, measure_views
from triptych.radiance.instant_ngp import Program
from triptych.radiance.ray_sampler import read_images, read_masks
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import OFFSET, SCALE, World
from triptych.scenes.scene import Scene
from triptych.scenes.write_scene import lens_entry
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, write_json

WORLD = World(SCALE, np.full(3, OFFSET))
TINY = 1e-9  # of a fisheye without distortion: with coefficients of 0 instant-ngp takes it as a pinhole


def _lens(cameras: Cameras, index: int) -> dict[str, Any]:
    """Intrinsics of one camera, under the names that instant-ngp knows, too."""
    fisheye = cameras.fisheye is not None and bool(cameras.fisheye[index])
    distortion = cameras.distortion[index].tolist()
    if fisheye and not any(distortion):
        distortion[0] = TINY
    places = [*cameras.focal[index].tolist(), *cameras.centre[index].tolist()]
    return lens_entry([*places, *distortion, *cameras.size[index].tolist()], fisheye=fisheye)


def _pose(cameras: Cameras, index: int) -> list[list[float]]:
    rotation, position = cameras.rotation[index].double().numpy(), cameras.position[index].double().numpy()
    return WORLD.pose(rotation, position).tolist()


def write_dataset(scene: Scene, index: list[int], folder: Path) -> Path:
    """Write images of a scene as instant-ngp reads them, at the size in use; return their transforms.json."""
    frames = []
    for position in index:
        name = scene.names[position]
        (image,), (mask,) = read_images(scene, [position]), read_masks(scene, [position])
        Image.fromarray(image.numpy()).save(folder / f"{name}.png", compress_level=1)
        if mask is not None:  # what is not black is ignored
            Image.fromarray(~mask.numpy()).save(folder / f"dynamic_mask_{name}.png")
        lens, pose = _lens(scene.cameras, position), _pose(scene.cameras, position)
        frames.append({"file_path": f"{name}.png", **lens, "transform_matrix": pose})
    write_json(
        folder / "transforms.json",
        {"aabb_scale": scene.aabb_scale, "scale": SCALE, "offset": [OFFSET] * 3, "frames": frames},
    )
    return folder / "transforms.json"


def compatibility(scene: Scene) -> list[str]:
    """The argument for scenes with transparent images, whose published figures blend in sRGB."""
    transparent = any(image.shape[-1] == 4 for image in read_images(scene, [0]))
    return ["--nerf_compatibility"] if transparent else []


def train(
    program: Program, scene: Scene, index: list[int], snapshot: Path, scratch: Path, *, steps: int
) -> float:
    """Train on these images of a scene and write the `.ingp` snapshot; return the seconds that this took.

    `scratch` is an empty folder. Raises `TriptychError` if the training fails or diverges.
    """
    dataset = write_dataset(scene, index, scratch)
    with atomic_path(snapshot) as temporary:
        began = time.monotonic()
        arguments = "--scene", dataset, "--n_steps", steps, "--save_snapshot", temporary.resolve()
        loss = program.run([*arguments, *compatibility(scene)], folder=scratch, steps=steps)
        seconds = time.monotonic() - began
        if loss is not None and not math.isfinite(loss):
            raise TriptychError(
                f"instant-ngp: the loss is {loss}; look at the poses and the aabb_scale of this scene"
            )
        if not temporary.stat().st_size:
            raise TriptychError("instant-ngp: it ended without a snapshot; its output is in the job's log")
    return seconds


def evaluate_views(
    program: Program,
    scene: Scene,
    snapshot: Path,
    index: list[int],
    folder: Path,
    scratch: Path,
    *,
    folder_name: str,
) -> dict[str, Any]:
    """Like `evaluate.evaluate_views`, without depth and normals, which `run.py` does not give.

    Each view is a run of its own in the empty folder `scratch`, since `run.py` keeps the picture of the first
    of its test views only; these are the pictures that it renders with the view's own lens. Images with alpha
    are compared over black. Raises `TriptychError` if a run fails, or renders no picture of the photograph's
    size.
    """

    def show(position: int) -> Pictures:
        place = scratch / str(position)
        place.mkdir()
        view = write_dataset(scene, [position], place)
        program.run(
            ["--load_snapshot", snapshot.resolve(), "--test_transforms", view, *compatibility(scene)],
            folder=place,
        )
        return {"render": _read_picture(place / "out.png", tuple(scene.cameras.size[position].tolist()))}

    black = torch.zeros(3)
    return measure_views(scene, index, folder, folder_name=folder_name, background=black, show=show)


def _read_picture(path: Path, size: tuple[int, ...]) -> NDArray[np.uint8]:
    if not path.is_file():
        raise TriptychError(f"instant-ngp: it wrote no {path.name}; its output is in the job's log")
    image = load_image(path).convert("RGB")
    if image.size != size:
        raise TriptychError(
            f"instant-ngp: {path.name} is {image.width}x{image.height}, not {size[0]}x{size[1]}"
        )
    return np.asarray(image)


def render_flythrough(
    program: Program,
    cameras: Cameras,
    snapshot: Path,
    target: Path,
    scratch: Path,
    *,
    fps: float,
    quality: int,
) -> None:
    """Like `flythrough.render_flythrough`, of a snapshot. Raises `TriptychError` if a run fails, or the field
    of view changes along the path, which `run.py` cannot render.
    """
    width, height = cameras.size[0].tolist()
    focal = cameras.focal[:, 0]
    if float(focal.amax() / focal.amin()) > 1.001:
        raise TriptychError(
            "flythrough.path: its keyframes differ in field of view, which instant-ngp's run.py cannot "
            "render; give all of them the same one, or set radiance.backend: triptych"
        )
    frames = [
        {"file_path": f"{number:06d}.png", "transform_matrix": _pose(cameras, number)}
        for number in range(len(cameras))
    ]
    path, pictures = scratch / "path.json", scratch / "frames"
    angle = 2 * math.atan(width / 2 / float(focal[0]))
    write_json(path, {"camera_angle_x": angle, "w": width, "h": height, "frames": frames})
    sources = "--load_snapshot", snapshot.resolve(), "--screenshot_transforms", path
    targets = "--screenshot_dir", pictures, "--width", width, "--height", height
    program.run([*sources, *targets], folder=scratch)

    def rendered() -> Iterator[NDArray[np.uint8]]:
        for frame in frames:
            yield _read_picture(pictures / str(frame["file_path"]), (width, height))

    write_video(target, rendered(), fps=fps, crf=quality)
