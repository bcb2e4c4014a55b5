"""Which pairs of images are matched, and in how large images; by the real COLMAP."""

import numpy as np
import pycolmap
import pytest
from colmap_cases import MATCHING, noise, save
from hypothesis import given
from hypothesis import strategies as st

from triptych.sfm.matching import match_features
from triptych.sfm.pairs import choose_matcher, image_pairs, images_alike


@pytest.mark.parametrize(
    ("images", "features", "expected"),
    [
        (50, 3000, "exhaustive"),
        (124, 8000, "exhaustive"),
        (300, 8000, "sequential"),
        (1200, 2000, "sequential"),
    ],
)
def test_all_pairs_are_matched_if_that_takes_minutes(images, features, expected):
    assert choose_matcher("auto", images, features) == expected
    assert choose_matcher("sequential", images, features) == "sequential"


@given(images=st.integers(1, 60), overlap=st.integers(1, 20), closing=st.integers(0, 59))
def test_pairs_are_unique_in_order_and_include_those_that_look_alike(images, overlap, closing):
    alike = [(0, closing)] if 0 < closing < images else []
    pairs = image_pairs(images, matcher="sequential", overlap=overlap, alike=alike)
    assert len(pairs) == len(set(pairs))
    assert all(0 <= first < second < images for first, second in pairs)
    assert set(alike) <= set(pairs)


def test_a_ten_minute_film_is_matched_in_thousands_of_pairs_not_in_hundreds_of_thousands():
    alike = [(first, first + 700) for first in range(500)]
    assert len(image_pairs(1200, matcher="sequential", overlap=10, alike=alike)) < 20_000


def test_an_image_is_matched_with_those_that_show_the_same_however_far_they_are(tmp_path):
    """Six places, visited twice: the second visit is found by its looks."""
    for visit in range(2):
        for place in range(6):
            picture = noise(place, 200, 150) + np.random.default_rng(visit).normal(0, 4, (150, 200))
            save(tmp_path / "loop", 6 * visit + place, picture)
    match_features(tmp_path / "loop", tmp_path / "loop.db", **MATCHING | {"matcher": "sequential"}, threads=2)
    with pycolmap.Database.open(tmp_path / "loop.db") as database:
        numbers = [image.image_id for image in database.read_all_images()]
        pairs = images_alike(database, numbers, beyond=2, seed=0)
        assert pairs == images_alike(database, numbers, beyond=2, seed=0)
        verified = {
            tuple(sorted(pycolmap.pair_id_to_image_pair(number)))
            for number, geometry in zip(*database.read_two_view_geometries(), strict=True)
            if len(geometry.inlier_matches)
        }
    assert {(place, place + 6) for place in range(6)} <= set(pairs)
    assert {(numbers[place], numbers[place + 6]) for place in range(6)} <= verified


def test_large_images_with_few_features_are_doubled(tmp_path):
    for number in range(2):
        save(tmp_path / "few", number, 128 + (noise(number, 660, 160) - 128) * (np.arange(660) < 200))
    found = {}
    for octave in (0, -1, None):
        options = MATCHING | {"first_octave": octave}
        found[octave] = match_features(
            tmp_path / "few", tmp_path / f"{octave}.db", **options, threads=2
        ).features
    assert found[0] < found[-1] == found[None]
