"""Which frames of a film end up in the folder and why."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter1d

from triptych.data.video import write_video
from triptych.sfm.frames import extract_frames
from triptych.workflow.errors import TriptychError

FOX = Path(__file__).parents[3] / "shared/data/fox"
FILM = {"film": True, "reject_below": 0.4, "neighbours": 4}
# Two seconds a window of four frames; the fourth window is blurred altogether.
SHARP = [2, 4, 11, None, 17, 20, 27]


def rows_of(manifest):
    with open(manifest, newline="") as stream:
        return list(csv.DictReader(stream))


def panorama(seed=0):
    texture = gaussian_filter(np.random.default_rng(seed).random((96, 400, 3)), (1, 1, 0))
    return np.uint8(255 * (texture - texture.min()) / np.ptp(texture))


@pytest.fixture
def video(tmp_path):
    wide = panorama()

    def pictures():
        for frame in range(28):
            picture = wide[:, 4 * frame : 4 * frame + 128]
            yield picture if frame in SHARP else uniform_filter1d(picture, 11, axis=frame % 2)

    write_video(tmp_path / "film.mp4", pictures(), fps=8)
    return tmp_path / "film.mp4"


def test_the_known_sharp_frames_of_a_film_are_found(video, tmp_path):
    extract_frames(video, tmp_path / "frames", tmp_path / "frames.csv", fps=2, **FILM)
    sharp = [frame for frame in SHARP if frame is not None]
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == [f"{n:06d}.png" for n in sharp]
    rows = rows_of(tmp_path / "frames.csv")
    assert list(rows[0]) == ["frame", "file", "time", "sharpness", "kept", "why", "source"]
    assert [int(row["frame"]) for row in rows] == list(range(28))
    assert [int(row["frame"]) for row in rows if row["kept"] == "True"] == sharp
    assert [row["why"][:6] for row in rows[12:16]].count("blurry") == 1
    assert [bool(row["file"]) for row in rows] == [row["kept"] == "True" for row in rows]
    assert float(rows[11]["time"]) == pytest.approx(11 / 8)


def test_frames_show_what_was_filmed_and_can_be_made_smaller(video, tmp_path):
    extract_frames(video, tmp_path / "full", tmp_path / "full.csv", fps=2, **FILM)
    original = panorama()[:, 44:172].astype(float)
    error = np.asarray(Image.open(tmp_path / "full/000011.png")) - original
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 24  # its colours are noisy, 4:2:0 smooths them
    extract_frames(video, tmp_path / "half", tmp_path / "half.csv", fps=2, max_size=64, **FILM)
    assert Image.open(tmp_path / "half/000011.png").size == (64, 48)


def test_fox_handheld_gives_exactly_the_sharp_photographs(tmp_path):
    if not (FOX / "fox_handheld.mp4").exists():
        pytest.skip(f"{FOX}/fox_handheld.mp4 is missing: the fox film is not part of the project")
    extract_frames(
        FOX / "fox_handheld.mp4", tmp_path / "f", tmp_path / "f.csv", fps=2, max_size=64, threads=2, **FILM
    )
    truth = json.loads((FOX / "fox_handheld.truth.json").read_text())["sharp_frames"]
    kept = [int(row["frame"]) for row in rows_of(tmp_path / "f.csv") if row["kept"] == "True"]
    assert kept == [one["frame"] for one in truth]


def test_too_few_frames_say_how_many_there_were_and_leave_nothing(video, tmp_path):
    with pytest.raises(TriptychError, match=r"only 2 of 28 frames kept \(0 too blurry\).*raise frames\.fps"):
        extract_frames(video, tmp_path / "frames", tmp_path / "frames.csv", fps=0.5, **FILM)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]
