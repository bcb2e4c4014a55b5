"""A film of a radiance field."""

from fractions import Fraction
from pathlib import Path

import av

from triptych.radiance.evaluate import to_bytes
from triptych.radiance.render import RadianceField, render_image
from triptych.scenes.cameras import Cameras
from triptych.workflow.files import atomic_path
from triptych.workflow.progress import Progress


def render_flythrough(
    cameras: Cameras, radiance: RadianceField, target: Path, *, fps: float, quality: int
) -> None:
    """Render a film, one frame a camera.

    H.264 in 4:2:0, with the index at the front, so that a browser starts playing at once.

    Args:
        cameras: all of one size with even sides.
        radiance: the trained field.
        target: the `.mp4` file.
        fps: frames a second.
        quality: x264's constant rate factor: 0 is lossless, 18 hard to tell from it, 51 the worst.
    """
    cameras = cameras.to(radiance.background.device)
    with (
        atomic_path(target) as temporary,
        av.open(str(temporary), "w", options={"movflags": "+faststart"}) as film,
        Progress(len(cameras), "fly-through", unit="frame") as progress,
    ):
        stream = film.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.width, stream.height = (int(side) for side in cameras.size[0])
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(quality)}
        for number in range(len(cameras)):
            picture = to_bytes(render_image(radiance, cameras, number).colour)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            progress.update()
        film.mux(stream.encode())
