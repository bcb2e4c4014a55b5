"""What structure from motion does where a capture is poor, few, long, or in parts; by the real COLMAP."""

import av
import numpy as np
import pycolmap
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from turntable import photograph_turntable

from triptych.sfm.attempts import Growth, attempts
from triptych.sfm.database import MatchCounts, count_matches
from triptych.sfm.diagnosis import Diagnosis, advise, diagnose, is_hopeless
from triptych.sfm.held_out import held_out_names
from triptych.sfm.lens import refine, simplify_lenses
from triptych.sfm.mapping import map_scene
from triptych.sfm.matching import match_features
from triptych.sfm.models import file_ranges, merge_models, registered_names
from triptych.sfm.orbit import film_orbit
from triptych.sfm.pairs import choose_matcher, image_pairs, images_alike
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

MATCHING = {
    "matcher": "exhaustive",
    "overlap": 4,
    "max_image_size": 1200,
    "max_features": 2000,
    "first_octave": 0,
    "seed": 0,
}
SETTINGS = MATCHING | {"mapper": "incremental"}


def noise(seed, width=480, height=360):
    """A picture with much detail, (height, width) in 0..255."""
    values = gaussian_filter(np.random.default_rng(seed).random((height, width)), 1.2)
    return 255 * (values - values.min()) / np.ptp(values)


def save(folder, number, pixels):
    folder.mkdir(exist_ok=True)
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert("RGB").save(folder / f"{number:02d}.png")


def diagnosis_of(folder, database):
    match_features(folder, database, **MATCHING, threads=2)
    return diagnose(database)


# The matcher.


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


# Advice.


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


# Further attempts.


def test_cheap_attempts_come_first_and_cost_is_estimated():
    counts = MatchCounts(images=50, features=100_000, matched_pairs=1000, verified_pairs=500)
    ladder = attempts(SETTINGS, counts)
    assert [attempt.name for attempt in ladder] == [
        "as configured",
        "simple lens, relaxed start",
        "global mapper",
        "denser matching",
        "more features",
        "affine features",
    ]
    assert [attempt.matching is None for attempt in ladder] == [True] * 3 + [False] * 3
    assert ladder[3].matching == {"guided": True}
    long = attempts(SETTINGS | {"matcher": "sequential"}, MatchCounts(2000, 8_000_000, 1, 1))
    assert long[3].matching == {"matcher": "exhaustive"}
    assert long[3].seconds > 3600


@pytest.mark.slow
def test_images_of_two_places_become_the_larger_one_and_all_attempts_are_reported(tmp_path):
    folder = tmp_path / "two"
    folder.mkdir()
    for place, frames in (("a", 9), ("b", 6)):
        film = tmp_path / f"{place}.mp4"
        film_orbit(
            film,
            tmp_path / f"{place}.json",
            width=256,
            height=192,
            frames=frames,
            fps=10,
            sweep=6.0 * frames,
            blurred=0,
            seed=frames,
            threads=2,
        )
        with av.open(str(film)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                picture = frame.to_image()  # a negative has no features in common
                (picture if place == "a" else ImageOps.invert(picture)).save(folder / f"{place}{number}.png")
    settings = SETTINGS | {"first_octave": -1}
    match_features(folder, tmp_path / "two.db", **MATCHING | {"first_octave": -1}, threads=2)
    found = map_scene(folder, tmp_path / "two.db", tmp_path / "sfm", settings=settings, threads=2)
    assert found["registered"] == 9
    assert found["models"][0] == {"images": 9, "files": "a0.png - a8.png"}
    assert found["models"][1]["files"].startswith("b")
    assert found["without_pose"] == [f"b{number}.png" for number in range(6)]
    assert len(found["attempts"]) == 6
    assert sum(attempt["chosen"] for attempt in found["attempts"]) == 1
    assert "do not fit together" in found["advice"]
    assert "a0.png - a8.png" in found["advice"]


def test_images_that_several_models_register_count_once_in_the_progress():
    with Progress(10, "mapping") as progress:
        growth = Growth(progress)
        for images in (6, 9, 4):
            growth.start()
            for _ in range(images - 2):
                growth.add()
        assert (progress.count, progress.total) == (9, 10)
        for _ in range(20):  # images are removed and registered again
            growth.add()
        assert (progress.count, progress.total) == (10, 10)


# Models.


def test_ranges_of_files():
    names = [f"{number}.jpg" for number in range(10)]
    assert file_ranges(["0.jpg", "1.jpg", "2.jpg", "5.jpg"], names) == "0.jpg - 2.jpg, 5.jpg"
    assert file_ranges(names[::2], names).endswith("1 more ranges")


def synthetic(path, frames=20, **options):
    """A database and the true model of cameras around a cloud of points."""
    chosen = pycolmap.SyntheticDatasetOptions()
    chosen.num_rigs, chosen.num_frames_per_rig, chosen.num_points3D = 1, frames, 300
    chosen.camera_model_id = pycolmap.CameraModelId.OPENCV
    chosen.camera_width, chosen.camera_height = 800, 600
    chosen.camera_params = [700.0, 700.0, 400.0, 300.0, 0.02, 0.0, 0.0, 0.0]
    for name, value in options.items():
        setattr(chosen, name, value)
    pycolmap.set_random_seed(0)
    with pycolmap.Database.open(path) as database:
        return pycolmap.synthesize_dataset(chosen, database)


def part_of(model, positions):
    """A copy of a model with the images at these positions alone, in coordinates of its own."""
    part = pycolmap.Reconstruction(model)
    keep = {sorted(model.reg_image_ids())[position] for position in positions}
    for number in list(part.reg_image_ids()):
        if number not in keep:
            part.deregister_frame(part.image(number).frame_id)
    part.transform(pycolmap.Sim3d(2.0, pycolmap.Rotation3d(), np.array([1.0, 2.0, 3.0])))
    return part


def test_models_that_share_images_are_merged(tmp_path):
    whole = synthetic(tmp_path / "database.db", frames=12)
    models = [part_of(whole, range(8)), part_of(whole, range(4, 12))]
    models[1].transform(pycolmap.Sim3d(0.3, pycolmap.Rotation3d(), np.zeros(3)))
    merged, *rest = merge_models(models, tmp_path / "database.db", tmp_path, seed=0)
    assert not rest
    assert merged.num_reg_images() == 12
    assert merged.compute_mean_reprojection_error() < 0.1
    assert merged.num_points3D() > 200


def test_models_that_share_too_few_images_stay_apart(tmp_path):
    whole = synthetic(tmp_path / "database.db", frames=12)
    models = [part_of(whole, range(7)), part_of(whole, range(6, 12))]
    sizes = [
        model.num_reg_images() for model in merge_models(models, tmp_path / "database.db", tmp_path, seed=0)
    ]
    assert sizes == [7, 6]


# The lens.


def test_a_few_views_get_a_lens_of_one_focal_length_with_its_centre_in_the_middle(tmp_path):
    for frames, model in ((6, "SIMPLE_RADIAL"), (20, "OPENCV")):
        path = tmp_path / f"{frames}.db"
        synthetic(path, frames=frames)
        simplify_lenses(path, everywhere=False)
        with pycolmap.Database.open(path) as database:
            assert [camera.model_name for camera in database.read_all_cameras()] == [model]
    simplify_lenses(path, everywhere=True)
    with pycolmap.Database.open(path) as database:
        (camera,) = database.read_all_cameras()
        assert (camera.model_name, list(camera.params)) == ("SIMPLE_RADIAL", [700, 400, 300, 0])


@pytest.mark.parametrize(
    ("frames", "centre", "expected", "note"),
    [
        (20, (412, 300), (412, 300), "adjusted"),
        (20, (330, 300), (400, 300), "centre: adjustment moves it by"),
        (8, (412, 300), (400, 300), "centre: 8 views"),
        (20, (400, 300), (400, 300), "centre: another place explains the images no better"),
    ],
)
def test_the_principal_point_has_the_freedom_that_the_views_carry(tmp_path, frames, centre, expected, note):
    parameters = [700.0, 700.0, *map(float, centre), 0.02, 0.0, 0.0, 0.0]
    model = synthetic(tmp_path / "database.db", frames=frames, camera_params=parameters)
    options = pycolmap.SyntheticNoiseOptions()
    options.point2D_stddev = 0.5
    pycolmap.synthesize_noise(options, model)
    (camera,) = model.cameras.values()
    camera.params = [700.0, 700.0, 400.0, 300.0, 0.02, 0.0, 0.0, 0.0]
    refined, notes = refine(model)
    (lens,) = refined.cameras.values()
    assert (lens.principal_point_x, lens.principal_point_y) == pytest.approx(expected, abs=4)
    assert next(iter(notes.values())).startswith(note)


# Held-out images.


@pytest.mark.parametrize("mapper", ["incremental", pytest.param("global", marks=pytest.mark.slow)])
def test_held_out_images_are_registered_afterwards_against_a_model_without_them(tmp_path, mapper):
    path = tmp_path / "database.db"
    truth = synthetic(path, frames=16)
    images = tmp_path / "images"
    images.mkdir()
    settings = SETTINGS | {"mapper": mapper}
    found = map_scene(images, path, tmp_path / "sfm", settings=settings, holdout=4)
    names = registered_names(truth)
    assert found["held_out"] == held_out_names(names, 4) == names[::4]
    assert found["registered"] == found["images"] == 16
    model = pycolmap.Reconstruction(tmp_path / "sfm")
    answer = pycolmap.align_reconstructions_via_proj_centers(model, truth, max_proj_center_error=0.05)
    assert answer is not None
    model.transform(answer)
    for name in found["held_out"]:
        mine, true = (one.find_image_with_name(name) for one in (model, truth))
        assert np.linalg.norm(mine.projection_center() - true.projection_center()) < 0.05
        assert mine.num_points3D == 0, "its features are part of no point"
    assert count_matches(path).images == 16


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
