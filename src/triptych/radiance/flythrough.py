"""A fly-through: a film of a radiance field."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.data.video import write_video
from triptych.radiance.evaluate import to_bytes
from triptych.radiance.render import RadianceField, render_image
from triptych.scenes.cameras import Cameras
from triptych.workflow.progress import Progress


def render_flythrough(
    cameras: Cameras, radiance: RadianceField, target: Path, *, fps: float, quality: int
) -> None:
    """Render a film, one frame per camera.

    H.264 in 4:2:0, with the index at the front, so that a browser starts playing at once.

    Args:
        cameras: cameras of one image size, with even sides.
        radiance: the trained field.
        target: the `.mp4` file.
        fps: frames per second.
        quality: x264's constant rate factor: 0 is lossless, 18 hard to tell from it, 51 the worst.
    """
    cameras = cameras.to(radiance.background.device)

    def pictures() -> Iterator[NDArray[np.uint8]]:
        with Progress(len(cameras), "fly-through", unit="frame") as progress:
            for number in range(len(cameras)):
                yield to_bytes(render_image(radiance, cameras, number).colour)
                progress.update()

    write_video(target, pictures(), fps=fps, crf=quality)
