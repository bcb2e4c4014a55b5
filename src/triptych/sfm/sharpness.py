"""Which frames of a film are worth keeping: measure sharpness, then compare only with neighbours."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.manifest import KEPT

# Blur is judged at about this many pixels along the longer side: at a sensor's full
# resolution the measure would see noise, and a 4K film would take eight times as long.
JUDGED_SIZE = 960


class Candidate(NamedTuple):
    """A frame that may be kept: its number in the source, its time in seconds, its sharpness."""

    frame: int
    time: float | None
    sharpness: float


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


def window_of(candidate: Candidate, fps: float | None) -> int:
    """The number of a frame's window of 1/fps seconds, counted from time zero.

    Without times (photographs) or without `fps`, every frame is a window of its own.
    """
    if fps is None or candidate.time is None:
        return candidate.frame
    # Containers round time stamps: a frame due exactly at a boundary may be a hair early.
    return int(np.floor(candidate.time * fps + 1e-3))


def _sharpest_of_windows(candidates: Sequence[Candidate], fps: float | None) -> list[int]:
    """Positions of the sharpest candidate in every window, in order of time; of equals, the first."""
    best: dict[int, int] = {}
    for position, candidate in enumerate(candidates):
        window = window_of(candidate, fps)
        if window not in best or candidate.sharpness > candidates[best[window]].sharpness:
            best[window] = position
    return [best[window] for window in sorted(best)]


def choose(
    candidates: Sequence[Candidate], *, fps: float | None, reject_below: float, neighbours: int
) -> list[str]:
    """Decide for every candidate: `KEPT`, or the reason why it is not.

    First the sharpest frame of each window of 1/fps seconds stays. Of those, one goes if its
    sharpness is under `reject_below` times the median of its neighbours': absolute sharpness
    depends on what is filmed, but neighbouring frames show nearly the same. A median ignores
    other blurry frames as long as they are the minority.

    Args:
        candidates: in order of time.
        fps: windows per second; None makes every candidate a window of its own.
        reject_below: between 0 (keep all) and 1.
        neighbours: how many chosen frames on either side are compared with.
    """
    why = ["not the sharpest of its window"] * len(candidates)
    chosen = _sharpest_of_windows(candidates, fps)
    values = [candidates[position].sharpness for position in chosen]
    for number, (position, value) in enumerate(zip(chosen, values, strict=True)):
        before, after = values[max(0, number - neighbours) : number], values[number + 1 :][:neighbours]
        median = float(np.median(before + after)) if before + after else value
        if value < reject_below * median:
            why[position] = (
                f"blurry: {value:.3g} is under {reject_below:g} x {median:.3g}, its neighbours' median"
            )
        else:
            why[position] = KEPT
    return why
