"""Sharpness falls with every kind of blur, and frames are only compared with their neighbours."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, uniform_filter1d

from triptych.scenes.manifest import ManifestRow
from triptych.sfm.sharpness import mark_kept, sharpest_of_windows, sharpness

TEXTURE = gaussian_filter(np.random.default_rng(0).random((200, 300)), 1.2)
TEXTURE = np.uint8(255 * (TEXTURE - TEXTURE.min()) / np.ptp(TEXTURE))


@pytest.mark.parametrize(
    "blur", [lambda a: gaussian_filter(a, 2), *(lambda a, i=i: uniform_filter1d(a, 9, i) for i in (0, 1))]
)
def test_falls_when_the_picture_is_blurred_even_in_one_direction(blur):
    assert sharpness(blur(TEXTURE)) < 0.2 * sharpness(TEXTURE)


def test_of_a_ramp_is_zero_and_of_a_checkerboard_is_known():
    ramp = np.tile(np.arange(100, dtype=np.uint8), (80, 1))
    assert sharpness(ramp) == 0
    # Stripes one pixel wide, 0 and 10, cross the diagonals too: along rows the second
    # difference is +-20; along columns it is 0, and the smallest direction counts.
    stripes = np.tile(np.array([0, 10], np.uint8), (80, 50))
    assert sharpness(stripes) == 0
    # On a checkerboard the diagonals see one colour only.
    board = np.uint8(10 * (np.indices((80, 80)).sum(0) % 2))
    assert sharpness(board) == 0
    # An impulse of height 10 in n pixels: (2 * 10)^2 and twice 10^2 a line, less the squared mean 0.
    impulse = np.zeros((42, 42), np.uint8)
    impulse[20, 20] = 10
    assert sharpness(impulse) == pytest.approx(600 / 1600)


def test_a_film_of_four_times_the_resolution_is_judged_alike():
    picture = np.tile(TEXTURE, (4, 4))[:720, :960]
    enlarged = picture.repeat(4, axis=0).repeat(4, axis=1)
    assert sharpness(enlarged) == pytest.approx(sharpness(picture), rel=1e-6)


def film(values, rate):
    return [ManifestRow(number, "", number / rate, value) for number, value in enumerate(values)]


def choose(candidates, *, fps, **options):
    chosen = [best for best, _ in sharpest_of_windows(((one, None) for one in candidates), fps)]
    return [row.status for row in mark_kept(candidates, chosen, **options)]


def kept(why):
    return [number for number, reason in enumerate(why) if reason == "kept"]


def test_the_sharpest_frame_of_each_window_stays():
    why = choose(film([1, 3, 2, 9, 8, 7, 5, 5, 4], rate=6), fps=2, reject_below=0, neighbours=4)
    assert kept(why) == [1, 3, 6]
    assert why[0] == "not the sharpest of its window"


def test_a_frame_on_a_boundary_belongs_to_the_later_window_despite_rounding():
    times = [0.0, 0.1666, 0.3333, 0.4999999, 0.6666, 0.8333]
    candidates = [ManifestRow(number, "", time, 1.0 + number) for number, time in enumerate(times)]
    assert kept(choose(candidates, fps=2, reject_below=0, neighbours=4)) == [2, 5]


def test_a_blurry_window_is_dropped_and_its_reason_told():
    why = choose(film([10, 11, 3, 12, 10], rate=1), fps=1, reject_below=0.5, neighbours=2)
    assert kept(why) == [0, 1, 3, 4]
    assert why[2] == "blurry: 3 is under 0.5 x 10.5, its neighbours' median"


def test_a_slow_change_of_contrast_rejects_nothing():
    values = [100 * 0.9**number for number in range(60)]
    assert len(kept(choose(film(values, 1), fps=1, reject_below=0.5, neighbours=4))) == 60


def test_without_a_rate_every_image_is_a_window():
    candidates = [ManifestRow(number, "", None, value) for number, value in enumerate([5.0, 5.0, 1.0, 5.0])]
    assert kept(choose(candidates, fps=None, reject_below=0.5, neighbours=4)) == [0, 1, 3]


@given(
    st.lists(st.floats(0.01, 1e4), min_size=1, max_size=60),
    st.sampled_from([1, 2.5, 8, 30]),
    st.sampled_from([0.5, 2, 7.5]),
    st.floats(0, 1),
)
def test_keeps_at_most_one_a_window_and_all_of_them_if_nothing_is_rejected(values, rate, fps, ratio):
    candidates = film(values, rate)
    windows = [int(np.floor(one.time * fps + 1e-3)) for one in candidates]
    chosen = [windows[number] for number in kept(choose(candidates, fps=fps, reject_below=0, neighbours=3))]
    assert chosen == sorted(set(windows))
    stricter = kept(choose(candidates, fps=fps, reject_below=ratio, neighbours=3))
    assert {windows[number] for number in stricter} <= set(chosen)
    assert len({windows[number] for number in stricter}) == len(stricter)
