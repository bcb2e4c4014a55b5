"""What a user is told about a poor capture; by the real COLMAP."""

import numpy as np
import pytest
from colmap_cases import MATCHING, SETTINGS, noise, save
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation
from turntable import photograph_turntable

from triptych.sfm.database import MatchCounts
from triptych.sfm.diagnosis import Diagnosis, advise, diagnose, is_hopeless
from triptych.sfm.mapping import map_scene
from triptych.sfm.matching import match_features
from triptych.workflow.errors import TriptychError


def diagnosis_of(folder, database):
    match_features(folder, database, **MATCHING, threads=2)
    return diagnose(database)


def test_a_camera_that_stands_still_is_told_to_move(tmp_path):
    for number in range(3):
        save(tmp_path / "still", number, noise(0) + np.random.default_rng(number).normal(0, 4, (360, 480)))
    found = diagnosis_of(tmp_path / "still", tmp_path / "still.db")
    assert found.stood_still == 1
    assert is_hopeless(found)
    assert "the camera stood still" in advise(found)


def seen(wide, view):
    """The picture of a camera; `view` maps its pixels to those of the plane `wide`."""
    coefficients = (view / view[2, 2]).ravel()[:8]
    return wide.transform((480, 360), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BICUBIC)


CAMERA = np.array([[500.0, 0, 240], [0, 500, 180], [0, 0, 1]])


def test_a_camera_that_only_turns_is_told_to_walk(tmp_path):
    wide = Image.fromarray(noise(0, 1000, 1000).astype(np.uint8))
    around = np.array([[700.0, 0, 500], [0, 700, 500], [0, 0, 1]])
    for number in range(5):
        turn = Rotation.from_euler("yx", [6 * number - 12, 3 * (-1) ** number], degrees=True).as_matrix()
        save(tmp_path / "turn", number, np.asarray(seen(wide, around @ turn @ np.linalg.inv(CAMERA)), float))
    found = diagnosis_of(tmp_path / "turn", tmp_path / "turn.db")
    assert found.one_plane == found.only_turned == 1
    assert "only turned" in advise(found)
    with pytest.raises(TriptychError) as caught:
        map_scene(tmp_path / "turn", tmp_path / "turn.db", tmp_path / "sfm", settings=SETTINGS)
    assert "walk around what you film" in str(caught.value)
    assert not (tmp_path / "sfm").exists()


def test_small_steps_around_a_picture_on_a_wall_are_no_turn_and_no_turntable(tmp_path):
    """The middle of the picture, at which the camera looks, hardly moves."""
    wide = Image.fromarray(noise(0, 1000, 1000).astype(np.uint8))
    for number in range(4):
        turn = Rotation.from_euler("yz", [4 * number - 6, 2 * (-1) ** number], degrees=True)
        eye = np.array([500, 500, 0]) - turn.apply([0, 0, 700])
        projection = CAMERA @ turn.inv().as_matrix() @ np.column_stack([[1, 0, 0], [0, 1, 0], -eye])
        save(tmp_path / "flat", number, np.asarray(seen(wide, np.linalg.inv(projection)), float))
    found = diagnosis_of(tmp_path / "flat", tmp_path / "flat.db")
    assert found.one_plane == 1
    assert found.still_background == found.only_turned == 0
    assert not is_hopeless(found)
    assert "flat, or it hardly moved" in advise(found)


def test_an_object_that_moves_before_a_wall_is_told_about_masks(tmp_path):
    """Also if the wall is seen everywhere around it, in most of the picture."""
    wall, thing = noise(0), noise(1, width=700)
    for number in range(4):
        picture = wall.copy()
        picture[120:260, 160:340] = thing[120:260, 40 * number : 40 * number + 180]
        picture += np.random.default_rng(number).normal(0, 4, picture.shape)
        save(tmp_path / "turntable", number, picture)
    found = diagnosis_of(tmp_path / "turntable", tmp_path / "turntable.db")
    assert found.still_background == 1
    assert "masks" in advise(found)


@pytest.mark.slow
def test_photographs_of_a_turntable_without_masks_are_placed_with_a_loud_warning(tmp_path, caplog):
    photograph_turntable(tmp_path)
    images = tmp_path / "images"
    match_features(images, tmp_path / "database.db", **MATCHING | {"first_octave": None}, threads=2)
    settings = SETTINGS | {"first_octave": None}
    found = map_scene(images, tmp_path / "database.db", tmp_path / "sfm", settings=settings, threads=2)
    assert found["registered"] == 28, "all have a pose, and most are wrong"
    assert found["still_background"] == 1
    assert "give masks of the background" in found["advice"]
    assert "POSES ARE PROBABLY WRONG" in caplog.text


def test_too_few_features_ask_for_texture_and_light(tmp_path):
    for number in range(3):
        save(tmp_path / "plain", number, 128 + (noise(number) - 128) * (np.hypot(*np.mgrid[:360, :480]) < 60))
    assert "film something textured" in advise(diagnosis_of(tmp_path / "plain", tmp_path / "plain.db"))


def test_advice_by_how_many_images_fit_together():
    counts = MatchCounts(20, 40_000, 30, 25)
    found = Diagnosis(counts, 2000, 0.2, 0.0, motion=0.1, stood_still=0.0, still_background=0.0)
    assert "few images fit together" in advise(found)
    assert "no two images show the same things" in advise(
        found._replace(counts=counts._replace(verified_pairs=0))
    )
    assert "only in parts" in advise(found._replace(counts=counts._replace(verified_pairs=100)))


def test_few_photographs_from_nearly_the_same_place_are_told_to_step_further_apart():
    three = Diagnosis(MatchCounts(3, 6000, 3, 3), 2000, 0.0, 0.7, 0.01, 0.0, still_background=0.0)
    assert "hardly moved: between two images, features move by 1.0 %" in advise(three)
    assert not is_hopeless(three)


@given(verified=st.integers(0, 6), share=st.floats(0, 1))
def test_no_capture_is_given_up_because_of_one_pair_that_fits(verified, share):
    found = Diagnosis(MatchCounts(4, 6000, 6, verified), 2000, 1.0, 1.0, 0.1, share, still_background=0.0)
    assert is_hopeless(found) == (verified >= 3)
