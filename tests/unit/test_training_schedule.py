"""Learning rates by optimizer step."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.training.schedule import learning_rate

BASE = {
    "learning_rate": 1.0,
    "epochs": 10,
    "warmup_epochs": 2,
    "milestones": [4, 8],
    "gamma": 0.1,
    "schedule_epochs": None,
    "warmup_peak": 1.0,
    "min_lr_ratio": 0.0,
}


def test_schedules_follow_their_definitions() -> None:
    warm = [learning_rate({**BASE, "schedule": "constant"}, step, 5) for step in range(12)]
    assert warm == sorted(warm) and warm[0] > 0 and warm[10] == warm[11] == 1.0
    cosine = {**BASE, "schedule": "cosine"}
    assert learning_rate(cosine, 10, 5) == 1.0
    assert learning_rate(cosine, 30, 5) == pytest.approx(0.5)
    assert learning_rate(cosine, 49, 5) < 0.01
    steps = [learning_rate({**BASE, "schedule": "step"}, 5 * epoch, 5) for epoch in (3, 4, 7, 8)]
    assert steps == pytest.approx([1, 0.1, 0.1, 0.01])


def test_a_cosine_over_twice_the_epochs_ends_halfway() -> None:
    recipe = {**BASE, "schedule": "cosine", "warmup_epochs": 0, "schedule_epochs": 20}
    assert learning_rate(recipe, 0, 5) == 1.0
    assert learning_rate(recipe, 25, 5) == pytest.approx(0.5 + 0.5 * math.cos(math.pi / 4))
    assert 0.5 < learning_rate(recipe, 49, 5) < 0.52


def test_a_warm_up_may_end_above_the_rate_that_follows() -> None:
    recipe = {**BASE, "schedule": "step", "warmup_peak": 2.0}
    rates = [learning_rate(recipe, step, 5) for step in range(12)]
    assert rates[:10] == pytest.approx([2 * (step + 1) / 11 for step in range(10)])
    assert rates[10] == rates[11] == 1.0


def test_one_cycle_is_a_triangle() -> None:
    rates = [learning_rate({**BASE, "schedule": "one_cycle"}, step, 5) for step in range(50)]
    assert max(rates) == rates[10] == 1.0
    assert rates[:10] == pytest.approx([(step + 1) / 11 for step in range(10)])
    assert rates[10:] == pytest.approx([1 - step / 40 for step in range(40)])


@pytest.mark.parametrize("schedule", ["cosine", "one_cycle"])
@given(
    epochs=st.integers(1, 30),
    steps=st.integers(1, 40),
    warm=st.floats(0, 0.99),
    peak=st.floats(1e-6, 100),
    final=st.floats(0, 1),
)
def test_schedules_rise_to_their_peak_and_fall_to_their_share_without_jumps(
    schedule: str, epochs: int, steps: int, warm: float, peak: float, final: float
) -> None:
    warmup = warm * epochs
    recipe = BASE | {"learning_rate": peak, "epochs": epochs, "warmup_epochs": warmup, "min_lr_ratio": final}
    total = epochs * steps
    rates = [learning_rate({**recipe, "schedule": schedule}, step, steps) for step in range(total)]
    assert all(0 < rate <= peak * (1 + 1e-12) for rate in rates)
    rising = [rate for step, rate in enumerate(rates) if step / steps < warmup]
    falling = rates[len(rising) :]
    assert all(a < b for a, b in pairwise(rising))
    assert all(a >= b for a, b in pairwise(falling))
    assert all(rate >= peak * final * (1 - 1e-12) for rate in falling)
    # No jump: up, a step is at most the whole way over the number of steps; down, pi/2 times that.
    assert all(b - a <= peak / (warmup * steps) * 1.001 for a, b in pairwise(rising))
    left = max(total - warmup * steps, 1e-9)
    assert all(a - b <= 1.6 * peak * (1 - final) / left + 1e-12 for a, b in pairwise(falling))
    # One step more would have ended at the share.
    assert learning_rate({**recipe, "schedule": schedule}, total, steps) == pytest.approx(
        peak * final, abs=1e-9 * peak
    )
