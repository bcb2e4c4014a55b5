"""Progressive resizing: small views first, large ones at the end of the training.

A list of stages, each with a `share` of the training's steps (relative to their sum) and a `size` in pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

Stages = Sequence[Mapping[str, float]]


def size_at(stages: Stages, progress: float, full: int) -> int:
    """Side of the views, in pixels, after a fraction `progress` of the training; `full` without stages."""
    total = sum(stage["share"] for stage in stages)
    end = 0.0
    for stage in stages:
        end += stage["share"] / total
        if progress < end:
            return int(stage["size"])
    return int(stages[-1]["size"]) if stages else full


def seconds_until(stages: Stages, step_seconds: Sequence[float], progress: float) -> float:
    """Seconds of the first fraction `progress` of the training, divided by its number of steps."""
    total = sum(stage["share"] for stage in stages)
    start = seconds = 0.0
    for stage, each in zip(stages, step_seconds, strict=True):
        share = stage["share"] / total
        seconds += each * min(max(progress - start, 0.0), share)
        start += share
    return seconds


def relative_time(stages: Stages, step_seconds: Sequence[float]) -> Callable[[float], float] | None:
    """`seconds_until` as a function of `progress`, for an ETA; None without stages or measured seconds."""
    return partial(seconds_until, stages, step_seconds) if stages and step_seconds else None
