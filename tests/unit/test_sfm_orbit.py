"""The embedded film: what is filmed lies where the true poses say, and blur is where it is noted."""

import csv
import json

import av
import numpy as np
import pytest

from triptych.data.video import read_video
from triptych.sfm.frames import extract_frames
from triptych.sfm.orbit import TEXELS_PER_PIXEL, blurred_frames, film_orbit, intrinsics, orbit_poses, render
from triptych.sfm.still_life import StillLife, still_life
from triptych.sfm.surfaces import Ground, Sphere, Texture

SIZE = {"width": 160, "height": 120}
OFFSETS = np.array([[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]])


def paint(value):
    return Texture(np.full((2, 2, 3), value, np.float32), 1.0)


def shoot(folder, *, threads):
    film_orbit(
        folder / "film.mp4",
        folder / "truth.json",
        **SIZE,
        frames=24,
        fps=12,
        sweep=220,
        blurred=0.25,
        seed=0,
        threads=threads,
        provenance={"seed": 0},
    )
    return folder


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return shoot(tmp_path_factory.mktemp("film"), threads=2)


def test_the_film_is_the_same_every_time_and_with_any_number_of_threads(film, tmp_path):
    again = shoot(tmp_path, threads=1)
    for file in ("film.mp4", "truth.json"):
        assert (film / file).read_bytes() == (again / file).read_bytes()


@pytest.fixture(scope="module")
def filmed_scene():
    """The scene of the film, painted once more."""
    return still_life(density=TEXELS_PER_PIXEL * intrinsics(**SIZE)["fl_x"] / 4)


@pytest.mark.parametrize("point", [(0.0, 0.0, 0.0), (0.7, -0.5, 0.6), (-0.9, 0.4, -0.3)])
def test_a_known_point_is_seen_where_the_pose_says(point):
    """Pinhole projection written out here, against a rendered white ball in the dark."""
    ball = Sphere(point, 0.06, paint(1))
    world = StillLife([ball], Ground(paint(0)), Sphere((0, 0, 0), 5.5, paint(0), inside=True))
    camera = intrinsics(**SIZE)
    for pose in orbit_poses(5, sweep=300):
        picture = render(world, pose, **SIZE, samples=OFFSETS).astype(float).mean(axis=2)
        right, up, back = pose[:3, :3].T @ (np.array(point) - pose[:3, 3])
        expected = camera["cx"] - camera["fl_x"] * right / back, camera["cy"] + camera["fl_y"] * up / back
        mask = picture > 20  # the ball's outline, whatever its shading
        rows, columns = np.nonzero(mask)
        assert mask.sum() > 10
        assert (columns.mean() + 0.5, rows.mean() + 0.5) == pytest.approx(expected, abs=0.6)


def test_cameras_are_level_look_inwards_and_walk_around():
    poses = orbit_poses(60, sweep=300)
    turns, eyes = poses[:, :3, :3], poses[:, :3, 3]
    assert np.allclose(turns @ turns.transpose(0, 2, 1), np.eye(3))
    assert np.allclose(np.linalg.det(turns), 1)
    assert np.allclose(turns[:, 2, 0], 0)  # the horizon is level
    assert (turns[:, 2, 1] > 0.6).all()
    inward = np.sum(-turns[:, :, 2] * -eyes / np.linalg.norm(eyes, axis=1, keepdims=True), axis=1)
    assert (inward > 0.99).all()
    azimuth = np.unwrap(np.arctan2(eyes[:, 1], eyes[:, 0]))
    assert np.degrees(azimuth[-1] - azimuth[0]) == pytest.approx(300)
    elevation = np.degrees(np.arcsin(eyes[:, 2] / np.linalg.norm(eyes, axis=1)))
    assert np.ptp(elevation) > 25
    assert np.linalg.norm(eyes, axis=1).mean() == pytest.approx(4, rel=0.05)


def test_the_film_shows_the_scene_from_the_poses_in_the_file(film, filmed_scene):
    truth = json.loads((film / "truth.json").read_text())
    pictures = list(read_video(film / "film.mp4"))
    assert len(pictures) == len(truth["frames"]) == 24
    for picture, entry in zip(pictures, truth["frames"], strict=True):
        assert (entry["frame"], entry["time"]) == (picture.number, pytest.approx(picture.time, abs=1e-3))
        if not entry["blurred"] and picture.number % 5 == 0:
            expected = render(filmed_scene, np.array(entry["transform_matrix"]), **SIZE, samples=OFFSETS)
            error = picture.rgb().mean(axis=2) - expected.mean(axis=2)  # 4:2:0 smooths colours
            assert 10 * np.log10(255**2 / np.mean(error**2)) > 29
    with av.open(str(film / "film.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"


def test_intrinsics_are_consistent(film):
    truth = json.loads((film / "truth.json").read_text())
    assert truth["fl_x"] == pytest.approx(truth["w"] / 2 / np.tan(truth["camera_angle_x"] / 2))
    assert truth["fl_y"] == pytest.approx(truth["h"] / 2 / np.tan(truth["camera_angle_y"] / 2))
    assert (truth["w"], truth["h"], truth["cx"], truth["cy"]) == (160, 120, 80, 60)


def test_frame_choice_takes_no_blurred_frame_of_it(film, tmp_path):
    extract_frames(
        film / "film.mp4",
        tmp_path / "f",
        tmp_path / "f.csv",
        film=True,
        fps=6,
        reject_below=0.4,
        neighbours=4,
    )
    truth = {
        f"{frame['frame']:06d}.png": frame
        for frame in json.loads((film / "truth.json").read_text())["frames"]
    }
    assert sum(frame["blurred"] for frame in truth.values()) == 6
    with open(tmp_path / "f.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    kept = {row["file"] for row in rows if row["kept"] == "True"}
    assert kept <= truth.keys()
    assert not any(truth[name]["blurred"] for name in kept)
    # Each window of two with a sharp frame gives one.
    sharp = {frame["frame"] // 2 for frame in truth.values() if not frame["blurred"]}
    assert len(kept) == len(sharp)


@pytest.mark.parametrize("share", [0, 0.1, 0.37, 0.6])
def test_as_many_frames_are_blurred_as_asked_for(share):
    for seed in range(5):
        assert blurred_frames(90, share, np.random.default_rng(seed)).sum() == round(90 * share)
