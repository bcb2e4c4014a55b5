"""Moving pictures keep the frame rate, resting ones end at full resolution."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from triptych.view.rendering import SIDE_STEP, PixelCost, band_rows, full_size, moving_size, sharper_size

sides = st.integers(64, 4000)
costs = st.floats(1e-9, 1e-3)


@given(sides, sides, costs, st.floats(1, 60))
def test_a_moving_picture_fits_its_time_unless_that_made_it_too_small(
    width: int, height: int, cost: float, fps: float
) -> None:
    size = moving_size((width, height), PixelCost(cost), fps=fps, min_side=48)
    assert min(size) >= 48 or size == (width, height)
    assert size[0] <= width and size[1] <= height
    if min(size) > 48 + SIDE_STEP:
        assert size[0] * size[1] * cost < 1.02 / fps


@given(sides, sides, costs)
def test_every_picture_has_the_canvas_shape(width: int, height: int, cost: float) -> None:
    size = moving_size((width, height), PixelCost(cost), fps=10, min_side=48)
    # rounding moves a side by half a pixel at most
    assert abs(size[0] * height / width - size[1]) <= 0.5 + 0.5 * height / width


def test_as_much_is_shown_as_there_is_time_for() -> None:
    # a twentieth of a second at a microsecond a pixel: 50 000 pixels of a 3:2 picture
    assert moving_size((900, 600), PixelCost(1e-6), fps=20, min_side=64) == (264, 176)
    # with no time at all, the limit holds
    assert moving_size((900, 600), PixelCost(1e-2), fps=20, min_side=64) == (96, 64)
    # with enough time, the full picture
    assert moving_size((900, 600), PixelCost(1e-9), fps=20, min_side=64) == (900, 600)


@pytest.mark.parametrize("overhead", [0.0, 0.03])
def test_the_frame_rate_settles_at_the_target_whatever_a_picture_costs(overhead: float) -> None:
    # the machine: a fixed cost a picture, and a cost a pixel that the first guess misses by far
    estimate, cost = PixelCost(1e-4), 2e-6
    for _ in range(40):
        size = moving_size((1600, 900), estimate, fps=10, min_side=48)
        seconds = overhead + cost * size[0] * size[1]
        estimate.update(size[0] * size[1], seconds)
    assert 1 / seconds == pytest.approx(10, rel=0.2)


def test_one_outlier_does_not_spoil_the_estimate() -> None:
    estimate = PixelCost(1e-6)
    estimate.update(10_000, 10.0)  # a thousand times too long
    assert estimate.seconds <= 2e-6


@given(sides, sides)
def test_sharpening_at_least_doubles_and_ends_at_full_resolution(width: int, height: int) -> None:
    full = (width, height)
    size = moving_size(full, PixelCost(1.0), fps=10, min_side=32)
    for _ in range(10):
        if size == full:
            break
        larger = sharper_size(size, full)
        assert larger == full or larger == (size[0] * 2, size[1] * 2)
        assert larger[0] <= width and larger[1] <= height
        size = larger
    assert size == full


def test_the_sharpest_picture_is_the_canvas_or_what_is_allowed() -> None:
    assert full_size((800, 600), 960) == (800, 600)
    assert full_size((1920, 1080), 960) == (960, 540)


@given(sides, costs)
def test_a_band_takes_little_time(width: int, cost: float) -> None:
    rows = band_rows(width, PixelCost(cost))
    assert rows >= 1
    if rows * width > max(width, 2048):
        assert rows * width * cost <= 0.05 * 1.001
