"""The choice of a film's sharp frames: sharpness is measured, then compared with neighbouring frames."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.manifest import KEPT, ManifestRow

# Sharpness is measured at about this many pixels along the longer side: at a sensor's full resolution
# noise would dominate, and a 4K film would take eight times as long.
MEASURED_SIZE = 960

NOT_SHARPEST = "not the sharpest of its window"

Item = TypeVar("Item")


def sharpness(grey: NDArray[np.uint8]) -> float:
    """The smallest of four variances: those of the second differences along x, y and both diagonals.

    The variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy", ICPR
    2000) adds up all directions. Motion blur removes detail along one direction only, to which the minimum is
    more sensitive. The image is (height, width) uint8; the result is 0 below 3 x 3.
    """
    factor = max(1, round(max(grey.shape) / MEASURED_SIZE))
    height, width = (side // factor for side in grey.shape)
    if min(height, width) < 3:
        return 0.0
    image = grey[: height * factor, : width * factor].astype(np.float32)
    if factor > 1:
        image = image.reshape(height, factor, width, factor).mean(axis=(1, 3))
    centre = 2 * image[1:-1, 1:-1]
    opposite = (
        (image[1:-1, :-2], image[1:-1, 2:]),
        (image[:-2, 1:-1], image[2:, 1:-1]),
        (image[:-2, :-2], image[2:, 2:]),
        (image[:-2, 2:], image[2:, :-2]),
    )
    variances, difference = [], np.empty_like(centre)
    for one, other in opposite:  # in place: this runs for every frame of a film
        np.add(one, other, out=difference)
        np.subtract(difference, centre, out=difference)
        mean_square = np.vdot(difference, difference) / difference.size
        variances.append(float(mean_square) - float(difference.mean()) ** 2)
    return max(0.0, min(variances))


def window_of(frame: ManifestRow, fps: float | None) -> int:
    """The number of a frame's window of 1/fps seconds; without times or `fps` each frame is a window."""
    if fps is None or frame.time is None:
        return frame.frame
    # Containers round time stamps: a frame at a window's boundary may be slightly early.
    return int(np.floor(frame.time * fps + 1e-3))


def sharpest_of_windows(
    frames: Iterable[tuple[ManifestRow, Item]],
    fps: float | None,
    forced: Callable[[ManifestRow], bool] = lambda row: False,
) -> Iterator[tuple[ManifestRow, Item]]:
    """The sharpest frame of every window, as soon as the next window begins; of equals, the first.

    A frame that is rejected already is only given where all frames of its window are. Frames are in order of
    time, each with any object that belongs to it; those `forced` are given instead of the sharpest.
    """
    for _, window in groupby(frames, key=lambda one: window_of(one[0], fps)):
        best, any_forced = None, False
        for one in window:
            if forced(one[0]):
                any_forced = True
                yield one
            elif best is None or (one[0].kept, one[0].sharpness) > (best[0].kept, best[0].sharpness):
                best = one
        if best is not None and not any_forced:
            yield best


def mark_kept(
    frames: Sequence[ManifestRow], chosen: Sequence[ManifestRow], *, reject_below: float, neighbours: int
) -> list[ManifestRow]:
    """The frames with their `status`: kept, or the reason for rejection.

    The sharpest frame of a window (`chosen`, in order of time) is rejected if its sharpness is below
    `reject_below` (0: keep all) times the median of that of its `neighbours` chosen frames on either side:
    absolute sharpness depends on the scene, but neighbouring frames show nearly the same. The median ignores
    other blurry frames as long as they are the minority.
    """
    status = {frame.frame: NOT_SHARPEST for frame in frames}
    values = [frame.sharpness for frame in chosen]
    for number, (frame, value) in enumerate(zip(chosen, values, strict=True)):
        around = values[max(0, number - neighbours) : number] + values[number + 1 :][:neighbours]
        median = float(np.median(around)) if around else value
        blurry = f"blurry: {value:.3g} is under {reject_below:g} x {median:.3g}, its neighbours' median"
        status[frame.frame] = blurry if value < reject_below * median else KEPT
    return [frame._replace(status=status[frame.frame]) for frame in frames]
