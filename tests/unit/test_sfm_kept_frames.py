"""Which of a film's sharp frames are kept: content, exposure, duplicates, a budget, the user's choice."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter, shift

from triptych.data.video import write_video
from triptych.scenes.manifest import ManifestRow
from triptych.sfm.frames import extract_frames
from triptych.sfm.include_exclude import Selection
from triptych.sfm.kept_frames import exposure_jumps, spread_over_motion
from triptych.sfm.motion import motion, small_version
from triptych.workflow.errors import TriptychError

HEIGHT, WIDTH, RATE = 96, 128, 8
WIDE = gaussian_filter(np.random.default_rng(1).random((HEIGHT, 1600, 3)), (1.2, 1.2, 0))
WIDE = 40 + 170 * (WIDE - WIDE.min()) / np.ptp(WIDE)


def seen(place):
    """The picture from a place along the wall, in pixels."""
    return np.uint8(WIDE[:, round(place) : round(place) + WIDTH])


def extract(tmp_path, pictures, **options):
    """Frames.csv of a film, and the sorted names of the frames."""
    write_video(tmp_path / "film.mp4", pictures, fps=RATE)
    extract_frames(
        tmp_path / "film.mp4",
        tmp_path / "frames",
        tmp_path / "frames.csv",
        tmp_path / "thumbnails",
        **({"film": True, "fps": 2, "reject_below": 0.4, "neighbours": 4} | options),
    )
    with open(tmp_path / "frames.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = [int(row["frame"]) for row in rows if row["kept"] == "True"]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"{n:06d}.png" for n in kept]
    return rows, kept


def test_a_frame_without_content_is_never_kept(tmp_path):
    dark = [np.zeros((HEIGHT, WIDTH, 3), np.uint8)] * 12
    rows, kept = extract(tmp_path, dark + [seen(6 * n) for n in range(20)])
    assert len(kept) == 5  # the second window has both
    assert min(kept) >= 12
    assert {row["why"] for row in rows[:12]} == {"no content: all of one brightness"}
    assert len(list((tmp_path / "thumbnails").glob("*.jpg"))) == 8


def test_fine_texture_is_content_and_noise_in_the_dark_is_not(tmp_path):
    rng = np.random.default_rng(0)
    texture = np.uint8(rng.integers(60, 200, (240, 500)))
    gravel = [np.stack([texture[:, 10 * n : 10 * n + 320]] * 3, axis=2) for n in range(12)]
    dark = [np.uint8(np.clip(rng.normal(12, 4, (240, 320, 3)), 0, 255)) for _ in range(8)]
    _, kept = extract(tmp_path, dark + gravel)
    assert len(kept) == 3 and min(kept) >= 8


def test_while_the_camera_stands_still_one_frame_is_kept(tmp_path):
    places = [5 * n for n in range(12)] + [60] * 24 + [65 + 5 * n for n in range(12)]
    rows, kept = extract(tmp_path, [seen(place) for place in places])
    assert sum(12 <= frame < 36 for frame in kept) == 1
    assert sum("near-duplicate: the picture moved by" in row["why"] for row in rows) == 5


def test_a_film_without_motion_is_not_rejected_here(tmp_path, caplog):
    _, kept = extract(tmp_path, [seen(0)] * 24)
    assert len(kept) == 6
    assert "the camera hardly moves" in caplog.text


def test_a_jump_of_the_exposure_is_dropped_but_no_lasting_change(tmp_path):
    pictures = [seen(5 * n) for n in range(64)]
    for number in range(16, 20):  # a window under a flash
        pictures[number] = np.uint8(np.minimum(255, pictures[number] * 1.9))
    for number in range(40, 64):  # a lamp was switched off
        pictures[number] = np.uint8(pictures[number] * 0.5)
    rows, kept = extract(tmp_path, pictures)
    assert [sorted({frame // 4 for frame in kept})] == [[n for n in range(16) if n != 4]]
    assert [row["why"][:15] for row in rows[16:20]].count("exposure jump: ") == 1


@given(st.lists(st.floats(1, 250), min_size=1, max_size=40), st.integers(1, 6))
def test_exposure_may_rise_and_fall_without_a_jump(levels, neighbours):
    assert set(exposure_jumps(sorted(levels), neighbours)[1:-1]) <= {1}
    ratios = exposure_jumps(levels, neighbours)
    assert len(ratios) == len(levels)
    assert all(ratio == 1 or abs(np.log2(ratio)) > 1 / 2.2 for ratio in ratios)


def test_a_budget_is_spread_over_the_motion_of_the_camera(tmp_path):
    # half of the time is spent on the first tenth of the way
    places = [*np.linspace(0, 60, 80), *np.linspace(60, 600, 80)]
    rows, kept = extract(tmp_path, [seen(place) for place in places], max_frames=12)
    assert len(kept) == 12
    steps = np.diff([places[frame] for frame in kept])
    assert steps.max() < 2 * steps.mean()
    assert sum(frame < 80 for frame in kept) <= 3
    assert sum(row["why"] == "over the budget of 12 frames" for row in rows) > 10


@given(st.lists(st.floats(0, 1), min_size=0, max_size=50), st.data())
def test_spreading_takes_as_many_as_asked_with_both_ends(steps, data):
    count = data.draw(st.integers(1, len(steps) + 1))
    places = spread_over_motion(steps, count)
    assert len(places) == count and places == sorted(set(places))
    assert places[0] >= 0 and places[-1] <= len(steps)
    if count == len(steps) + 1:
        assert places == list(range(count))


@pytest.mark.parametrize("pixels", [0.5, 2, 8, 40, 100])
def test_motion_is_measured_from_half_a_pixel_to_a_quarter_of_the_picture(pixels):
    still = WIDE[:, :400].mean(axis=2)
    moved = shift(still, (0, -pixels), order=3)
    one, other = (small_version(np.uint8(picture[:, :256])) for picture in (still, moved))
    assert motion(one, other) == pytest.approx(pixels / 256, rel=0.4)
    assert motion(one, np.float32(20 + 1.3 * one)) < 0.001  # another exposure is no motion


def test_frames_are_included_and_excluded_by_number_and_time(tmp_path):
    pictures = [seen(5 * n) for n in range(40)]
    _, plain = extract(tmp_path, pictures)
    rows, kept = extract(
        tmp_path, pictures, include=[9, 10, "0:04.5-0:04.7"], exclude=[plain[0], "0:02.0-0:03.0", "37-"]
    )
    forced = [frame for frame in kept if 8 <= frame < 12]
    assert forced == [9, 10]  # instead of their window's sharpest
    assert {36, 37} <= set(kept)  # included and excluded: included
    assert not set(kept) & {plain[0], *range(16, 25), 38, 39}
    assert len([frame for frame in kept if frame < 4]) == 1  # the next best of its window
    assert {row["why"] for row in rows[16:25]} == {"excluded in the config"}


def test_included_frames_count_towards_the_budget_and_stay(tmp_path):
    pictures = [seen(5 * n) for n in range(80)]
    _, kept = extract(tmp_path, pictures, include=["30-34"], max_frames=8)
    assert len(kept) == 8
    assert set(range(30, 35)) <= set(kept)


def test_photographs_are_chosen_by_name(tmp_path):
    (tmp_path / "in/sub").mkdir(parents=True)
    for number in range(6):
        Image.fromarray(seen(100 * number)).save(tmp_path / f"in/sub/IMG_{number}.png")
    options = {"film": False, "fps": None, "reject_below": 0, "neighbours": 4}
    for more, expected in (
        ({"exclude": ["*_3.png", 0]}, [1, 2, 4, 5]),
        ({"max_frames": 3}, [0, None, 5]),
        ({"max_frames": 3, "include": ["sub/IMG_1.png"]}, [None, 1, None]),
    ):
        extract_frames(tmp_path / "in", tmp_path / "f", tmp_path / "f.csv", **options, **more)
        names = sorted(path.stem for path in (tmp_path / "f").iterdir())
        assert len(names) == len(expected)
        wanted = {f"sub_IMG_{number}" for number in expected if number is not None}
        assert wanted <= set(names)


@pytest.mark.parametrize("entry", ["999", "100-160", "9:00-", "IMG_*.jpg"])
def test_an_entry_that_matches_nothing_is_told(tmp_path, entry):
    with pytest.raises(TriptychError, match=rf"no frame matches {entry.replace('*', '.')}; correct frames"):
        extract(tmp_path, [seen(5 * n) for n in range(16)], exclude=[entry])


def test_times_have_minutes_and_perhaps_hours():
    selection = Selection(include=["1:02:03.5-1:02:04"], exclude=["-0:30"])
    assert [selection.includes(ManifestRow(0, "", time)) for time in (3723.4, 3723.5, 3724, 3724.1)] == [
        False, True, True, False,
    ]  # fmt: skip
    assert [selection.excludes(ManifestRow(0, "", time)) for time in (0, 30, 30.1)] == [True, True, False]
