"""A fly-through: a film of a radiance field."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.video import write_video
from triptych.radiance.evaluate import to_bytes
from triptych.radiance.render import RadianceField, render_image
from triptych.scenes.camera_path import camera_path, keyframe_path
from triptych.scenes.cameras import Cameras
from triptych.scenes.keyframes import read_camera_path
from triptych.scenes.scene import Scene
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.progress import Progress

WIDEST, NARROWEST = 540, 128  # pixels, of films whose width is not given
# A film of so many pixels for each sample of the training takes no longer than the training.
PIXELS_PER_SAMPLE = 0.1


def affordable_width(samples: float, *, frames: int, aspect: float) -> int:
    """Width in pixels of a film that takes no longer than its field's training, which was on so many samples.

    It is counted rather than timed, so that a rerun gives the same film. `aspect` is width over height.
    """
    pixels = samples * PIXELS_PER_SAMPLE / frames
    return int(min(WIDEST, max(NARROWEST, math.sqrt(pixels * aspect))))


def film_cameras(
    transforms: Path,
    scene: Scene,
    training: list[int],
    *,
    name: str,
    path: Path | None,
    options: dict[str, Any],
    samples: float = math.inf,
) -> tuple[Cameras, float]:
    """Cameras of a film, and its frames per second: along a recorded path, or past the training cameras, in
    order.

    `options` are `seconds`, `fps` and `width` (None: see `affordable_width`); a recorded path has its own
    seconds and fps. Raises `TriptychError` if the path is malformed, or belongs to another scene.
    """
    seconds, fps = options["seconds"], options["fps"]
    recorded = None if path is None else read_camera_path(path, scene=name)
    if recorded is not None:
        seconds, fps = recorded.seconds, recorded.fps
    frames = max(2, round(seconds * fps))
    first_width, first_height = scene.cameras.size[training[0]].tolist()
    aspect = recorded.aspect if recorded is not None else first_width / first_height
    width = options["width"] or affordable_width(samples, frames=frames, aspect=aspect)
    if recorded is not None:
        cameras = keyframe_path(recorded, read_scene_file(transforms).world, frames=frames, width=width)
    else:
        cameras = camera_path(scene.cameras.select(training), frames=frames, seconds=seconds, width=width)
    return cameras, fps


def render_flythrough(
    cameras: Cameras, radiance: RadianceField, target: Path, *, fps: float, quality: int
) -> None:
    """Render a film, one frame per camera; the cameras share an image size with even sides.

    H.264 in 4:2:0, with the index at the front, so that a browser starts playing at once. `quality` is x264's
    constant rate factor: 0 is lossless, 18 hard to tell from it, 51 the worst.
    """
    cameras = cameras.to(radiance.background.device)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        with Progress(len(cameras), "fly-through", unit="frame") as progress:
            for number in range(len(cameras)):
                yield to_bytes(render_image(radiance, cameras, number).colour)
                progress.update()

    write_video(target, pictures(), fps=fps, crf=quality)
