"""Video files in and out, by PyAV (FFmpeg's libraries; no program on PATH is needed)."""

import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path

log = logging.getLogger("triptych")

MAX_FAILURES = 1000  # a reader that fails without advancing would never end


class Picture(NamedTuple):
    """A decoded frame: its number from 0, its time in seconds from the first frame, and its pixels."""

    number: int
    time: float
    decoded: VideoFrame

    def grey(self) -> NDArray[np.uint8]:
        """(height, width) uint8 luma, as stored: not rotated."""
        return np.asarray(self.decoded.to_ndarray(format="gray"), np.uint8)

    def rgb(self) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, turned upright by the file's display matrix."""
        stored = self.decoded.to_ndarray(format="rgb24")
        return np.ascontiguousarray(np.rot90(stored, round(self.decoded.rotation / 90)))


def _open(path: Path) -> InputContainer:
    """Open a file that has a video stream; a `TriptychError` says why it cannot be."""
    if path.is_dir():
        raise TriptychError(f"{path}: is a folder, not a video; set the scene's source to folder")
    if not path.is_file():
        raise TriptychError(f"{path}: there is no such video; correct the scene's path in the config")
    if path.stat().st_size == 0:
        raise TriptychError(f"{path}: the video is empty (0 bytes); copy it again")
    try:
        container = av.open(str(path))
    except FFmpegError as error:
        raise TriptychError(
            f"{path}: not a readable video ({error.strerror}); it may be cut short or of another type: "
            "copy it again, or convert it to H.264 in .mp4"
        ) from error
    if not container.streams.video:
        container.close()
        raise TriptychError(
            f"{path}: holds no video stream, or is cut short before it; give a film, or a folder of images"
        )
    return container


def frame_count(path: str | Path) -> int:
    """The number of frames according to the file's header; 0 if it has none. Raises as `read_video` does."""
    with _open(Path(path)) as container:
        return container.streams.video[0].frames


def _decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame | None]:
    """The stream's frames, with None in place of what is damaged."""
    failures = 0
    packets = container.demux(stream)
    while failures < MAX_FAILURES:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            for frame in packet.decode():
                assert isinstance(frame, VideoFrame)
                yield None if frame.is_corrupt else frame
        except FFmpegError:
            failures += 1
            yield None


def read_video(path: str | Path, *, threads: int = 1) -> Iterator[Picture]:
    """Decode a video's first video stream in order of time.

    Damaged stretches are left out with a warning: a film cut short by a full phone still
    makes a scene.

    Raises:
        TriptychError: if the file is missing, empty, not a video, or nothing in it decodes.
    """
    path = Path(path)
    with _open(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = threads
        rate = stream.average_rate or Fraction(25)
        first: Fraction | None = None
        number = damaged = 0
        for frame in _decoded(container, stream):
            if frame is None:
                damaged += 1
                continue
            if frame.pts is None or frame.time_base is None:
                time = number / rate
            else:
                time = frame.pts * frame.time_base
            first = time if first is None else first
            yield Picture(number, float(time - first), frame)
            number += 1
        if number == 0:
            raise TriptychError(
                f"{path}: none of its frames can be decoded (codec {stream.codec_context.name}); "
                "the file is damaged: copy it again, or convert it to H.264 in .mp4"
            )
        if damaged or number < stream.frames:
            log.warning(
                "%s: damaged or cut short, %d of %s frames decoded", path, number, stream.frames or "?"
            )


def write_video(
    target: str | Path, pictures: Iterable[NDArray[np.uint8]], *, fps: float, crf: int = 14, threads: int = 0
) -> int:
    """Encode pictures as H.264 in MP4 that browsers play (4:2:0, index at the front); atomically.

    The same pictures and number of threads give the same file.

    Args:
        target: .mp4.
        pictures: (height, width, 3) uint8 each, all of one size with even sides.
        fps: frames per second.
        crf: x264's constant rate factor: 0 is lossless, 14 visually so, 23 its default, 51 the worst.
        threads: number of encoder threads, which changes the file; 0 uses all cores.

    Returns:
        The number of frames written.
    """
    count = 0
    with (
        atomic_path(target) as temporary,
        av.open(str(temporary), "w", options={"movflags": "+faststart"}) as container,
    ):
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        # With its macroblock tree, x264 writes another file every time.
        stream.options = {"crf": str(crf), "x264-params": "mbtree=0"}
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = threads
        for count, picture in enumerate(pictures, start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return count
