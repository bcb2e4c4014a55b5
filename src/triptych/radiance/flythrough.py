"""A film of a radiance field."""

from fractions import Fraction
from pathlib import Path

import av

from triptych.radiance.camera_path import camera_path
from triptych.radiance.evaluate import to_bytes
from triptych.radiance.render import RadianceField, render_image
from triptych.radiance.scene import Scene
from triptych.run.files import atomic_path
from triptych.run.progress import Progress


def render_flythrough(
    scene: Scene,
    radiance: RadianceField,
    target: Path,
    *,
    index: list[int],
    seconds: float,
    fps: float,
    width: int,
    quality: int,
) -> int:
    """Render a film along the cameras at `index`; return its number of frames.

    H.264 in 4:2:0, with the index at the front, so that a browser starts playing at once.

    Args:
        scene: whose cameras lead the way.
        radiance: the trained field.
        target: the `.mp4` file.
        index: which of the cameras.
        seconds: length.
        fps: frames a second.
        width: in pixels; the height keeps the photographs' shape.
        quality: x264's constant rate factor: 0 is lossless, 18 hard to tell from it, 51 the worst.
    """
    frames = max(2, round(seconds * fps))
    cameras = camera_path(scene.cameras.select(index), frames=frames, seconds=seconds, width=width)
    cameras = cameras.to(radiance.background.device)
    with (
        atomic_path(target) as temporary,
        av.open(str(temporary), "w", options={"movflags": "+faststart"}) as film,
        Progress(frames, "fly-through", unit="frame") as progress,
    ):
        stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = (int(side) for side in cameras.size[0])
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality)}
        for number in range(frames):
            picture = to_bytes(render_image(radiance, cameras, number).colour)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            progress.update()
        film.mux(stream.encode())
    return frames
