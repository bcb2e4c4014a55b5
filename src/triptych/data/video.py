"""Video files in and out, by PyAV (FFmpeg's libraries; no program on PATH is needed)."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.format import Flags
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from av.video.stream import VideoStream
from numpy.typing import NDArray

from triptych.data.video_frame import Picture, hdr_curve
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path

log = logging.getLogger("triptych")

MAX_FAILURES = 1000  # a reader that fails without advancing would never end
# 8K. A decoder holds up to 16 frames of 1.5 bytes per pixel or more, and one per thread: 1 GiB or so.
MAX_PIXELS = 36_000_000
MAX_THREADS = 8  # with 8K 2
SEEK_AFTER = 10  # seconds: nearer frames are reached sooner by decoding on than from the last key frame
MAX_GAP = 10  # seconds between frames of a broadcast stream; longer ones are restarts of its clock


def _open(path: Path) -> InputContainer:
    """Open a file that has a film; a `TriptychError` says why it cannot be."""
    if path.is_dir():
        raise TriptychError(f"{path}: is a folder, not a video; set the scene's source to folder")
    if not path.is_file():
        raise TriptychError(f"{path}: there is no such video; correct the scene's path in the config")
    if path.stat().st_size == 0:
        raise TriptychError(f"{path}: the video is empty (0 bytes); copy it again")
    try:
        container = av.open(str(path), metadata_errors="replace")
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


def _film_stream(path: Path, container: InputContainer) -> VideoStream:
    """The stream that holds the film: no attached picture; of several, the one with the most pixels.
    Raises `TriptychError` if there is none, no decoder is available, or its frames are too large.
    """
    no_film = Disposition.attached_pic | Disposition.timed_thumbnails
    films = [stream for stream in container.streams.video if not stream.disposition & no_film]
    if not films:
        raise TriptychError(f"{path}: holds a cover picture and no film; give a film, or a folder of images")
    readable = [stream for stream in films if stream.codec_context is not None]
    if not readable:
        raise TriptychError(f"{path}: its codec is not known to FFmpeg; convert it to H.264 in .mp4")
    stream = max(readable, key=lambda one: (one.width * one.height, -one.index))
    _check_size(path, stream.width, stream.height)
    return stream


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise TriptychError(
            f"{path}: its frames have {width} x {height} pixels, more than {MAX_PIXELS // 10**6} megapixels; "
            "scale the film down"
        )


def _is(container: InputContainer, flag: Flags) -> bool:
    return bool(container.format.flags & cast(int, flag.value))


def _shown_frames(container: InputContainer, stream: VideoStream) -> int:
    """The frames that a player shows: an edit list hides some of those that the header of an MP4 counts."""
    if "mp4" in container.format.name and stream.frames:
        return sum(not entry.is_discard for entry in stream.index_entries)
    return stream.frames


def frame_count(path: str | Path) -> int:
    """The number of frames by the header, or from duration and rate, else 0. Raises as `read_video` does."""
    path = Path(path)
    with _open(path) as container:
        stream = _film_stream(path, container)
        rate, seconds = stream.average_rate or 0, (container.duration or 0) / av.time_base
        return _shown_frames(container, stream) or round(seconds * rate)


class _Clock:
    """Turns presentation times into seconds since the first frame that never decrease.

    Attributes:
        restarts: how often the times began again, as where two takes were joined.
        ordered: whether every frame so far had a time, later than the one before.
    """

    def __init__(self, period: Fraction, *, broadcast: bool) -> None:
        self.period, self.broadcast = period, broadcast
        self.restarts, self.ordered = 0, True
        self._offset: Fraction | None = None
        self._last = -period

    def __call__(self, stamp: Fraction | None) -> Fraction:
        expected = self._last + self.period
        if self._offset is None and stamp is not None:
            self._offset = expected - stamp
        time = expected if stamp is None or self._offset is None else stamp + self._offset
        gap = time - self._last
        if stamp is None or gap <= 0:
            self.ordered = False
        if gap < -1 or (self.broadcast and gap > MAX_GAP):
            assert self._offset is not None
            self.restarts, self.ordered = self.restarts + 1, False
            self._offset += expected - time
            time = expected
        self._last = time if time > self._last else expected
        return self._last


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


def _prepare(stream: VideoStream, threads: int) -> None:
    stream.thread_type = "AUTO"
    pixels = max(1, stream.width * stream.height)
    stream.codec_context.thread_count = min(threads, MAX_THREADS, max(1, 2 * MAX_PIXELS // pixels))


def read_video(path: str | Path, *, threads: int = 1) -> Iterator[Picture]:
    """Decode a film in order of time, a frame at a time.

    Damaged stretches are left out with a warning: a film cut short by a full phone still makes a scene. Where
    the film's clock begins again, time goes on; frames without a time follow at the stream's own rate.
    Raises `TriptychError` if the file is missing, empty, not a film, or nothing in it decodes.
    """
    path = Path(path)
    with _open(path) as container:
        stream = _film_stream(path, container)
        _prepare(stream, threads)
        broadcast = _is(container, Flags.ts_discont)
        # The times that FFmpeg invents for a bare stream of pictures do not follow the stream's rate.
        timed = not _is(container, Flags.no_timestamps)
        clock = _Clock(1 / (stream.guessed_rate or stream.average_rate or Fraction(25)), broadcast=broadcast)
        number = damaged = 0
        for frame in _decoded(container, stream):
            if frame is None:
                damaged += 1
                continue
            _check_size(path, frame.width, frame.height)
            if number == 0:
                _say_conversions(path, frame)
            stamp = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            time = clock(stamp if timed else None)
            yield Picture(number, float(time), frame, frame.pts if clock.ordered and not broadcast else None)
            number += 1
        if number == 0:
            raise TriptychError(
                f"{path}: none of its frames can be decoded (codec {stream.codec_context.name}); "
                "the file is damaged: copy it again, or convert it to H.264 in .mp4"
            )
        if clock.restarts:
            log.info("%s: the film's clock begins again, restarts: %d", path, clock.restarts)
        expected = _shown_frames(container, stream)
        if damaged or number < expected:
            log.warning("%s: damaged or cut short, %d of %s frames decoded", path, number, expected or "?")


def _say_conversions(path: Path, frame: VideoFrame) -> None:
    if curve := hdr_curve(frame):
        log.info(
            "%s: HDR (%s) is converted to BT.709; what is brighter than 203 nits is clipped", path, curve
        )
    if frame.interlaced_frame:
        log.info("%s: interlaced; frames are interpolated from their top fields", path)


def read_pictures(
    path: str | Path, wanted: Sequence[tuple[int, int | None]], *, threads: int = 1
) -> Iterator[Picture]:
    """The pictures of some frames of a film, in their order, each decoded again; their time is 0.

    Stretches of more than 10 seconds between them are skipped, if the film's times allow it. `wanted` has the
    `Picture.number` and `Picture.stamp` of each, as `read_video` gave them, in order.
    """
    done = 0
    if all(stamp is not None for _, stamp in wanted):
        for picture in _sought(Path(path), wanted, threads):
            done += 1
            yield picture
    missing = {number for number, _ in wanted[done:]}
    if missing:
        for picture in read_video(path, threads=threads):
            if picture.number in missing:
                yield picture
                missing.remove(picture.number)
            if not missing:
                return


def _sought(path: Path, wanted: Sequence[tuple[int, int | None]], threads: int) -> Iterator[Picture]:
    """The wanted pictures as far as they are found by their stamps."""
    with _open(path) as container:
        stream = _film_stream(path, container)
        _prepare(stream, threads)
        second = round(1 / stream.time_base) if stream.time_base else 1
        frames, position = _decoded(container, stream), None
        for number, stamp in wanted:
            assert stamp is not None
            if position is None or stamp - position > SEEK_AFTER * second:
                try:
                    container.seek(
                        stamp - second, stream=stream
                    )  # a margin: some indexes are in order of decoding
                except FFmpegError:
                    return
                frames = _decoded(container, stream)
            for frame in frames:
                if frame is not None and frame.pts is not None and frame.pts >= stamp:
                    break
            else:
                return
            if frame.pts != stamp:
                return
            position = stamp
            yield Picture(number, 0.0, frame, stamp)


def write_video(
    target: str | Path, pictures: Iterable[NDArray[np.uint8]], *, fps: float, crf: int = 14, threads: int = 0
) -> int:
    """Encode pictures as H.264 in MP4 that browsers play (4:2:0, BT.709, index at the front); atomically.

    Pictures are (height, width, 3) uint8, all of one size with even sides. `crf` is x264's constant rate
    factor: 0 is lossless, 14 visually so, 23 its default, 51 the worst. The same pictures and number of
    threads (0: all cores) give the same file. Returns the number of frames written.
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
        context = stream.codec_context
        context.thread_count = threads
        context.color_range, context.colorspace = ColorRange.MPEG, Colorspace.ITU709
        context.color_primaries, context.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        for count, picture in enumerate(pictures, start=1):
            if count == 1:
                stream.height, stream.width = picture.shape[:2]
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p", dst_colorspace="ITU709", threads=1)))
        container.mux(stream.encode())
    return count
