"""Where the time of the steps goes."""

import math
import time

import pytest
import torch

from triptych.training.stopwatch import EVERY, Stopwatch


def test_the_share_is_that_of_the_time_within_compute() -> None:
    watch = Stopwatch(torch.device("cpu"), 100)
    assert math.isnan(watch.share)
    for number in range(4):
        with watch.step(number):
            time.sleep(0.03)
            with watch.compute():
                time.sleep(0.01)
    assert watch.total >= 4 * 0.04
    assert watch.share == pytest.approx(0.25, abs=0.1)


def test_what_a_step_has_taken_counts_before_it_ends() -> None:
    watch = Stopwatch(torch.device("cpu"), 1)
    with watch.step(0):
        time.sleep(0.01)
        assert watch.total_so_far >= 0.01
    assert watch.total == watch.total_so_far >= 0.01


@pytest.mark.parametrize(("steps", "timed"), [(3, [2]), (20, [10]), (200, [10, 60, 110, 160])])
def test_a_device_that_runs_ahead_is_waited_for_in_few_steps(steps: int, timed: list[int]) -> None:
    watch = Stopwatch(torch.device("meta"), steps)  # stands for a GPU: nothing runs on it
    waited = []
    watch._now = lambda: waited.append(number) or 0.0  # type: ignore[method-assign, func-returns-value]
    for number in range(steps):
        with watch.step(number), watch.compute():
            pass
    assert waited == [number for number in timed for _ in range(4)]
    assert EVERY == 50
