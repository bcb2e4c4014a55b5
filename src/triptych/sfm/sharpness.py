"""Which frames of a film are worth keeping: measure sharpness, then compare only with neighbours."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.manifest import KEPT, ManifestRow

# Blur is judged at about this many pixels along the longer side: at a sensor's full
# resolution the measure would see noise, and a 4K film would take eight times as long.
JUDGED_SIZE = 960

Item = TypeVar("Item")


def sharpness(grey: NDArray[np.uint8]) -> float:
    """Variance of the second difference, in the direction where it is smallest.

    The variance of the Laplacian (Pech-Pacheco et al., "Diatom autofocusing in brightfield
    microscopy", ICPR 2000) adds all directions up; motion blur removes detail along one
    direction only, and the minimum over four shows that sooner.

    Args:
        grey: (height, width) uint8 image; 0 is returned below 3 x 3.
    """
    factor = max(1, round(max(grey.shape) / JUDGED_SIZE))
    height, width = (side // factor for side in grey.shape)
    if min(height, width) < 3:
        return 0.0
    image = grey[: height * factor, : width * factor].astype(np.float32)
    if factor > 1:
        image = image.reshape(height, factor, width, factor).mean(axis=(1, 3))
    centre = 2 * image[1:-1, 1:-1]
    opposite = (
        image[1:-1, :-2] + image[1:-1, 2:],
        image[:-2, 1:-1] + image[2:, 1:-1],
        image[:-2, :-2] + image[2:, 2:],
        image[:-2, 2:] + image[2:, :-2],
    )
    return float(min(np.var(pair - centre) for pair in opposite))


def window_of(frame: ManifestRow, fps: float | None) -> int:
    """The number of a frame's window of 1/fps seconds, counted from time zero.

    Without times (photographs) or without `fps`, every frame is a window of its own.
    """
    if fps is None or frame.time is None:
        return frame.frame
    # Containers round time stamps: a frame due exactly at a boundary may be a hair early.
    return int(np.floor(frame.time * fps + 1e-3))


def sharpest_of_windows(
    frames: Iterable[tuple[ManifestRow, Item]], fps: float | None
) -> Iterator[tuple[ManifestRow, Item]]:
    """The sharpest frame of every window, as soon as the next window begins; of equals, the first.

    Args:
        frames: in order of time, each with anything that belongs to it.
        fps: see `window_of`.
    """
    for _, window in groupby(frames, key=lambda one: window_of(one[0], fps)):
        yield max(window, key=lambda one: one[0].sharpness)


def decide(
    frames: Sequence[ManifestRow], chosen: Sequence[ManifestRow], *, reject_below: float, neighbours: int
) -> list[ManifestRow]:
    """The frames, with the reason why each is kept or not.

    Of the sharpest frames of their windows, one is rejected if its sharpness is under `reject_below`
    times the median of its neighbours': absolute sharpness depends on what is filmed, but
    neighbouring frames show nearly the same. A median ignores other blurry frames as long as they
    are the minority.

    Args:
        frames: all of them, in order of time.
        chosen: the sharpest of each window, in order of time.
        reject_below: between 0 (keep all) and 1.
        neighbours: how many chosen frames on either side are compared with.
    """
    why = {frame.frame: "not the sharpest of its window" for frame in frames}
    values = [frame.sharpness for frame in chosen]
    for number, (frame, value) in enumerate(zip(chosen, values, strict=True)):
        around = values[max(0, number - neighbours) : number] + values[number + 1 :][:neighbours]
        median = float(np.median(around)) if around else value
        blurry = f"blurry: {value:.3g} is under {reject_below:g} x {median:.3g}, its neighbours' median"
        why[frame.frame] = blurry if value < reject_below * median else KEPT
    return [frame._replace(why=why[frame.frame]) for frame in frames]
