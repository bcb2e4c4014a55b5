"""Attempts with other settings where too few images get a pose."""

import av
import pytest
from colmap_cases import MATCHING, SETTINGS
from PIL import ImageOps

from triptych.sfm.attempts import Growth, attempts
from triptych.sfm.database import MatchCounts
from triptych.sfm.mapping import map_scene
from triptych.sfm.matching import match_features
from triptych.sfm.orbit import film_orbit
from triptych.workflow.progress import Progress


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
