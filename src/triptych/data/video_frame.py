"""A decoded frame of a film as pixels: upright, deinterlaced, in BT.709 colours."""

from typing import Any, NamedTuple, cast

import numpy as np
from av.error import FFmpegError
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter
from numpy.typing import NDArray

HDR_CURVES = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}
WIDE_GAMUTS = {int(ColorPrimaries.BT2020), int(ColorPrimaries.SMPTE431), int(ColorPrimaries.SMPTE432)}

# A reformatter keeps its table of colours, which takes seconds to compute, until the size changes.
_whole, _small = VideoReformatter(), VideoReformatter()


class Picture(NamedTuple):
    """A decoded frame."""

    number: int  # from 0
    time: float  # seconds since the first frame; never decreases
    decoded: VideoFrame  # its pixels, as stored
    # its presentation time in the stream's time base, to find it again; None if it cannot be
    stamp: int | None = None

    def grey(self, max_side: int | None = None) -> NDArray[np.uint8]:
        """(height, width) uint8 luma as stored, not rotated; of an interlaced frame its top field.

        With `max_side`, both sides are divided by the integer that brings the longer one closest to it.
        """
        width, height = self.decoded.width, self.decoded.height
        factor = 1 if max_side is None else max(1, round(max(width, height) / max_side))
        size = max(1, width // factor), max(1, height // factor)
        if self.decoded.interlaced_frame:
            grey = self.decoded.reformat(size[0], height, "gray", interpolation=Interpolation.AREA, threads=1)
            field = np.asarray(grey.to_ndarray(), np.uint8)[::2]
            return field[: len(field) // factor * factor : factor] if factor > 1 else field
        grey = self.decoded.reformat(*size, "gray", interpolation=Interpolation.AREA, threads=1)
        return np.asarray(grey.to_ndarray(), np.uint8)

    def combing(self) -> float:
        """How much more a line differs from its neighbours than from the next lines of its field.

        About 0.2, and above 1.5 if the frame is interlaced and something moves.
        """
        grey = np.asarray(self.decoded.reformat(format="gray", threads=1).to_ndarray(), np.uint8)
        lines = grey[:, ::4].astype(np.float32)  # every fourth column is enough
        if len(lines) < 5:
            return 0.0
        middle = 2 * lines[2:-2]
        near, far = middle - lines[1:-3] - lines[3:-1], middle - lines[:-4] - lines[4:]
        return float(np.vdot(near, near)) / max(float(np.vdot(far, far)), 1.0)

    def rgb(self, *, deinterlace: bool = False) -> NDArray[np.uint8]:
        """(height, width, 3) uint8, turned and mirrored as the file's display matrix says.

        A frame that is marked as interlaced, or to be deinterlaced, is interpolated from its top field, which
        shows a single moment. HDR (PQ, HLG) and wide gamuts become BT.709: the reference white of 203 nits
        (ITU-R BT.2408) becomes white, and what is brighter is clipped.
        """
        deinterlace = deinterlace or self.decoded.interlaced_frame
        decoded = _deinterlaced(self.decoded) if deinterlace else self.decoded
        return _displayed(_rgb(decoded, _whole), self.decoded)

    def thumbnail(self, max_side: int) -> NDArray[np.uint8]:
        """Like `rgb`, with the longer side at most `max_side`."""
        factor = max(1.0, max(self.decoded.width, self.decoded.height) / max_side)
        width, height = (max(2, round(side / factor)) for side in (self.decoded.width, self.decoded.height))
        small = self.decoded.reformat(width, height, interpolation=Interpolation.AREA, threads=1)
        return _displayed(_rgb(small, _small), self.decoded)


def hdr_curve(frame: VideoFrame) -> str | None:
    """PQ or HLG; None for an ordinary film."""
    return HDR_CURVES.get(frame.color_trc)


def _rgb(frame: VideoFrame, reformatter: VideoReformatter) -> NDArray[np.uint8]:
    """The pixels as (height, width, 3) uint8 in BT.709."""
    if frame.color_trc in HDR_CURVES or frame.color_primaries in WIDE_GAMUTS:
        if frame.color_trc == ColorTrc.UNSPECIFIED:
            frame.color_trc = ColorTrc.BT709
        try:
            converted = reformatter.reformat(
                frame, format="rgb24", dst_color_trc=ColorTrc.BT709, dst_color_primaries=ColorPrimaries.BT709
            )
            return np.asarray(converted.to_ndarray(), np.uint8)
        except FFmpegError:  # tags that swscale has no definition of
            pass
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _displayed(stored: NDArray[np.uint8], frame: VideoFrame) -> NDArray[np.uint8]:
    """A picture turned and mirrored by the frame's display matrix, to the nearest quarter turn.

    The matrix, in FFmpeg's `libavutil/display.h`, maps a stored (x, y) to (a x + c y, b x + d y).
    """
    # A frame and its side data refer to each other and stay in memory for long, hence those of a tiny copy.
    tiny = frame.reformat(8, 8, "gray", interpolation=Interpolation.POINT, threads=1)
    try:
        matrix = np.frombuffer(bytes(cast(Any, tiny.side_data)["DISPLAYMATRIX"]), np.int32)
    except KeyError:
        return stored
    a, b, c, d = (int(matrix[place]) for place in (0, 1, 3, 4))
    if abs(a) + abs(d) < abs(b) + abs(c):
        stored, a, d = stored.transpose(1, 0, 2), c, b
    return np.ascontiguousarray(stored[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _deinterlaced(frame: VideoFrame) -> VideoFrame:
    """The frame with the lines of its bottom field interpolated from its top field."""
    graph = Graph()
    source = graph.add(
        "buffer",
        f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base=1/1:pixel_aspect=1/1",
    )
    # It looks at no other frame: while the camera moves, they show other places.
    filter_, sink = graph.add("estdif", "mode=frame:deint=all:parity=tff"), graph.add("buffersink")
    source.link_to(filter_)
    filter_.link_to(sink)
    graph.configure()
    source.push(frame)
    source.push(None)
    result = sink.pull()
    assert isinstance(result, VideoFrame)
    return result
