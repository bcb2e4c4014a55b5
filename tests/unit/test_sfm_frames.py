"""Which frames end up in the folder and why, from films and from folders of images."""

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
    assert list(rows[0]) == ["frame", "file", "time", "sharpness", "kept", "why"]
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
        FOX / "fox_handheld.mp4",
        tmp_path / "f",
        tmp_path / "f.csv",
        fps=2,
        max_size=64,
        threads=2,
        **FILM,
    )
    truth = json.loads((FOX / "fox_handheld.truth.json").read_text())["sharp_frames"]
    kept = [int(row["frame"]) for row in rows_of(tmp_path / "f.csv") if row["kept"] == "True"]
    assert kept == [one["frame"] for one in truth]


def test_too_few_frames_say_how_many_there_were_and_leave_nothing(video, tmp_path):
    with pytest.raises(
        TriptychError, match=r"only 2 of 28 frames kept \(0 too blurry\).*raise the scene's fps"
    ):
        extract_frames(video, tmp_path / "frames", tmp_path / "frames.csv", fps=0.5, **FILM)
    assert [path.name for path in tmp_path.iterdir()] == ["film.mp4"]


def save(path, seed=0, size=(60, 40), **options):
    path.parent.mkdir(exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def take(tmp_path, **options):
    extract_frames(
        tmp_path / "in",
        tmp_path / "frames",
        tmp_path / "frames.csv",
        **({"film": False, "fps": None, "reject_below": 0, "neighbours": 4} | options),
    )
    return rows_of(tmp_path / "frames.csv")


def test_photographs_that_need_no_change_are_copied_in_order_of_name(tmp_path):
    names = ["c.JPG", "a.png", "b.jpeg"]
    originals = {
        name: save(tmp_path / "in" / name, format="PNG" if "png" in name else "JPEG") for name in names
    }
    (tmp_path / "in/.hidden.jpg").touch()
    (tmp_path / "in/notes.txt").touch()
    rows = take(tmp_path)
    assert [row["file"] for row in rows] == ["a.png", "b.jpeg", "c.JPG"]
    assert [row["frame"] for row in rows] == ["0", "1", "2"]
    assert {row["time"] for row in rows} == {""}
    for name, original in originals.items():
        assert (tmp_path / "frames" / name).read_bytes() == original.read_bytes()


def test_exif_orientation_is_honoured_and_the_focal_length_kept(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its left side: show it turned a quarter clockwise
    exif.get_ifd(0x8769)[0xA405] = 28  # focal length in 35 mm equivalent
    for number in range(3):
        picture = Image.new("RGB", (64, 32), "black")
        picture.paste("white", (0, 0, 16, 16))
        (tmp_path / "in").mkdir(exist_ok=True)
        picture.save(tmp_path / f"in/{number}.jpg", exif=exif, quality=95)
    take(tmp_path)
    upright = Image.open(tmp_path / "frames/1.jpg")
    assert upright.size == (32, 64)
    assert upright.getpixel((24, 8))[0] > 240 and upright.getpixel((8, 8))[0] < 15
    assert upright.getexif().get(0x0112, 1) == 1
    assert upright.getexif().get_ifd(0x8769)[0xA405] == 28


def test_other_formats_and_modes_become_plain_rgb(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    Image.new("RGBA", (32, 32), (200, 0, 0, 0)).save(folder / "clear.png")
    Image.fromarray(np.full((32, 32), 0x8000, np.uint16)).save(folder / "deep.png")
    Image.new("CMYK", (32, 32), (0, 0, 0, 0)).save(folder / "print.jpg")
    Image.new("RGB", (32, 32), "blue").save(folder / "a picture.tif")
    assert [row["file"] for row in take(tmp_path)] == [
        "a_picture.tif.png",
        "clear.png",
        "deep.png",
        "print.jpg",
    ]
    pixels = {path.name: Image.open(path).getpixel((5, 5)) for path in (tmp_path / "frames").iterdir()}
    assert pixels["a_picture.tif.png"] == (0, 0, 255)
    assert pixels["clear.png"] == (255, 255, 255)
    assert pixels["deep.png"] == (128, 128, 128)
    assert pixels["print.jpg"] == pytest.approx((255, 255, 255), abs=3)


def test_large_images_are_made_smaller_in_proportion(tmp_path):
    for number in range(3):
        save(tmp_path / f"in/{number}.png", size=(120, 80) if number else (50, 40))
    take(tmp_path, max_size=60)
    assert [Image.open(tmp_path / f"frames/{number}.png").size for number in range(3)] == [
        (50, 40),
        (60, 40),
        (60, 40),
    ]


def test_blurry_images_of_a_folder_are_rejected_only_on_request(tmp_path):
    for number in range(5):
        save(tmp_path / f"in/{number}.png")
    blurred = uniform_filter1d(np.asarray(Image.open(tmp_path / "in/2.png")), 9, axis=1)
    Image.fromarray(blurred).save(tmp_path / "in/2.png")
    assert len([row for row in take(tmp_path) if row["kept"] == "True"]) == 5
    assert [row["kept"] for row in take(tmp_path, reject_below=0.5)] == [
        "True",
        "True",
        "False",
        "True",
        "True",
    ]
    assert not (tmp_path / "frames/2.png").exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (None, "there is no such folder"),
        ({}, "no images in this folder .it is empty."),
        ({"a.dng": b"x", "b.txt": b"x"}, "no images in this folder .found only .dng, .txt."),
        ({"a.jpg": b"", "b.jpg": b"x"}, "a.jpg: cannot be read as an image"),
    ],
)
def test_bad_folders_are_told_and_leave_nothing(tmp_path, files, message):
    if files is not None:
        (tmp_path / "in").mkdir()
        for name, content in files.items():
            (tmp_path / "in" / name).write_bytes(content)
    with pytest.raises(TriptychError, match=message) as caught:
        take(tmp_path)
    assert "\n" not in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} <= {"in"}


def test_a_photograph_cut_short_is_named(tmp_path):
    for number in range(3):
        save(tmp_path / f"in/{number}.jpg", size=(400, 300))
    whole = (tmp_path / "in/1.jpg").read_bytes()
    (tmp_path / "in/1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TriptychError, match=r"1\.jpg: cannot be read as an image"):
        take(tmp_path)


def test_two_images_are_too_few_and_equal_names_are_told(tmp_path):
    save(tmp_path / "in/a.png")
    save(tmp_path / "in/b c.png")
    with pytest.raises(TriptychError, match="only 2 of 2 frames kept"):
        take(tmp_path)
    save(tmp_path / "in/b_c.png")
    with pytest.raises(TriptychError, match=r"b_c\.png: another image is also called b_c\.png"):
        take(tmp_path)
