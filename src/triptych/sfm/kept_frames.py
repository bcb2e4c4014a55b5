"""Which of the sharpest frames of a film's windows are kept: no exposure jumps, no near-duplicates."""

import logging
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.manifest import KEPT, ManifestRow
from triptych.sfm.motion import motion
from triptych.sfm.sharpness import NOT_SHARPEST, mark_kept

log = logging.getLogger("triptych")

MIN_FRAMES = 3  # the scale of two views is arbitrary: there is nothing to compare it with

# Brightness is of encoded pixels, whose gamma is about 2.2: this is one stop of exposure.
EXPOSURE_JUMP = 2 ** (1 / 2.2)
# Below this fraction of the longer side, another frame adds cost and no parallax.
NEAR_DUPLICATE = 0.005


class Candidate(NamedTuple):
    """A frame that may be kept."""

    row: ManifestRow  # its row of frames.csv
    small: NDArray[np.float32]  # see `small_version`
    stamp: int | None = None  # see `Picture`
    forced: bool = False  # whether it is kept in any case


def exposure_jumps(levels: Sequence[float], neighbours: int) -> list[float]:
    """How many times brighter each frame is than the neighbours before it and after it, 1 if it is no jump.

    A jump is an outlier to the medians of both sides by at least a stop: a change that lasts is none. Levels
    are mean brightnesses of encoded pixels.
    """
    ratios = []
    for number, level in enumerate(levels):
        sides = (levels[max(0, number - neighbours) : number], levels[number + 1 :][:neighbours])
        medians = [float(np.median(side)) for side in sides if len(side)]
        # One level keeps black frames from a division by zero.
        quotients = [(level + 1) / (median + 1) for median in medians] or [1.0]
        if min(quotients) > EXPOSURE_JUMP:
            ratios.append(min(quotients))
        elif max(quotients) < 1 / EXPOSURE_JUMP:
            ratios.append(max(quotients))
        else:
            ratios.append(1.0)
    return ratios


def near_duplicates(candidates: Sequence[Candidate]) -> dict[int, str]:
    """The reason for each frame that shows nearly the same as the last one that is kept, by frame number.

    None is dropped if fewer than three frames would be left: structure from motion has better advice.
    """
    reasons, last = {}, None
    for candidate in candidates:
        if last is not None and not candidate.forced:
            moved = motion(last.small, candidate.small)
            if moved < NEAR_DUPLICATE:
                reasons[candidate.row.frame] = (
                    f"near-duplicate: the picture moved by {100 * moved:.2g} % since frame {last.row.frame}"
                )
                continue
        last = candidate
    if len(candidates) - len(reasons) < MIN_FRAMES <= len(candidates):
        log.warning("the camera hardly moves: near-duplicates are kept; walk around what you film")
        return {}
    return reasons


def spread_over_motion(steps: Sequence[float], count: int) -> list[int]:
    """`count` places in a sequence that are spread evenly over the motion from each to the next."""
    # A step between frames of different sizes is unknown: it counts as the largest.
    finite = np.nan_to_num(np.asarray(steps, float), posinf=max((s for s in steps if s < np.inf), default=1))
    travelled = np.concatenate([[0.0], np.cumsum(finite)])
    places: list[int] = []
    for number, target in enumerate(np.linspace(0, travelled[-1], count)):
        low, high = (places[-1] + 1 if places else 0), len(travelled) - (count - number)
        nearest = int(np.argmin(abs(travelled[low : high + 1] - target)))
        places.append(low + nearest)
    return places


def over_budget(candidates: Sequence[Candidate], budget: int) -> dict[int, str]:
    """The reason for each frame beyond the budget, by frame number; forced frames come first."""
    free = [candidate for candidate in candidates if not candidate.forced]
    count = max(0, budget - (len(candidates) - len(free)))
    if count >= len(free):
        return {}
    steps = [motion(one.small, other.small) for one, other in pairwise(free)]
    chosen = set(spread_over_motion(steps, count)) if count else set()
    reason = f"over the budget of {budget} frames"
    return {one.row.frame: reason for place, one in enumerate(free) if place not in chosen}


def choose(
    rows: Sequence[ManifestRow],
    candidates: Sequence[Candidate],
    *,
    film: bool,
    reject_below: float,
    neighbours: int,
    max_frames: int | None,
) -> list[ManifestRow]:
    """The frames with their `status`: kept, or the reason for rejection.

    Args:
        rows: all frames; those that are no candidates keep their reason, or are not the sharpest.
        candidates: the sharpest frame of each window and the forced ones, in order of time.
        film: whether neighbours show nearly the same: if not, exposure jumps and near-duplicates stay.
        max_frames: number of frames to keep at most, spread over the camera's motion; None: no limit.
    """
    reasons: dict[int, str] = {}

    def drop(find: Callable[[list[Candidate]], dict[int, str]]) -> None:
        left = [candidate for candidate in candidates if candidate.row.frame not in reasons]
        forced = {candidate.row.frame for candidate in left if candidate.forced}
        reasons.update({frame: why for frame, why in find(left).items() if frame not in forced})

    def jumps(left: list[Candidate]) -> dict[int, str]:
        ratios = exposure_jumps([float(one.small.mean()) for one in left], neighbours)
        return {
            one.row.frame: f"exposure jump: {ratio:.2g} times as bright as its neighbours"
            for one, ratio in zip(left, ratios, strict=True)
            if ratio != 1
        }

    def blurry(left: list[Candidate]) -> dict[int, str]:
        chosen = [one.row for one in left]
        marked = mark_kept(chosen, chosen, reject_below=reject_below, neighbours=neighbours)
        return {row.frame: row.status for row in marked if not row.kept}

    if film:
        drop(jumps)
    drop(blurry)
    if film:
        drop(near_duplicates)
    if max_frames is not None:
        drop(lambda left: over_budget(left, max_frames))
    status = {candidate.row.frame: reasons.get(candidate.row.frame, KEPT) for candidate in candidates}
    return [
        row._replace(status=status.get(row.frame, NOT_SHARPEST if row.kept else row.status)) for row in rows
    ]
