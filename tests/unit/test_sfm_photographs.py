"""Photographs as people bring them become frames, or one line says which of them do not and why."""

import csv
import logging
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from scipy.ndimage import uniform_filter1d

from triptych.sfm.frames import extract_frames
from triptych.sfm.photographs import frame_name
from triptych.workflow.errors import TriptychError


def rows_of(manifest):
    with open(manifest, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def save(path, seed=0, size=(60, 40), **options):
    path.parent.mkdir(exist_ok=True, parents=True)
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
    (tmp_path / "in/@eaDir").mkdir()
    (tmp_path / "in/@eaDir/thumbnail.jpg").touch()
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
    assert [row["file"] for row in take(tmp_path)] == ["a_picture.png", "clear.png", "deep.png", "print.jpg"]
    pixels = {path.name: Image.open(path).getpixel((5, 5)) for path in (tmp_path / "frames").iterdir()}
    assert pixels["a_picture.png"] == (0, 0, 255)
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
        ({"a.mov": b"x", "b.txt": b"x"}, "no images in this folder .found only .mov, .txt."),
        ({"a.dng": b"x", "b.txt": b"x"}, "1 of 1 photographs cannot be read: a.dng .camera RAW."),
        ({"a.jpg": b"", "b.jpg": b"x"}, "2 of 2 photographs cannot be read: a.jpg .empty., b.jpg"),
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


def test_two_images_are_too_few(tmp_path):
    for name in "ab":
        save(tmp_path / f"in/{name}.png")
    with pytest.raises(TriptychError, match="only 2 of 2 frames kept"):
        take(tmp_path)


def test_images_that_can_show_no_features_are_counted_and_left_out(tmp_path):
    for number, size in enumerate([(64, 48)] * 3 + [(1, 1), (4000, 1), (3000, 20)]):
        save(tmp_path / f"in/{number}.png", size=size)
    rows = take(tmp_path)
    assert [row["why"] for row in rows[:3]] == ["kept"] * 3
    assert [row["why"] for row in rows[3:]] == [
        f"too small or narrow: {size} pixels" for size in ("1 x 1", "4000 x 1", "3000 x 20")
    ]


def phone_exif():
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker", "Phone"
    exif.get_ifd(0x8769).update({0x920A: 4.2, 0xA405: 28})
    return exif


def lens_of(path):
    exif = Image.open(path).getexif()
    lens = exif.get_ifd(0x8769)
    return exif[0x0110], float(lens[0x920A]), lens[0xA405]


def test_a_second_picture_behind_the_first_is_no_reason_to_recode(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        picture = Image.effect_noise((64, 48), 50).convert("RGB")
        small = [picture.resize((16, 12))]
        target = tmp_path / f"in/{number}.jpg"
        picture.save(target, "MPO", save_all=True, append_images=small, exif=phone_exif())
    assert [row["file"] for row in take(tmp_path)] == ["0.jpg", "1.jpg", "2.jpg"]
    for number in range(3):
        frame = tmp_path / f"frames/{number}.jpg"
        assert frame.read_bytes() == (tmp_path / f"in/{number}.jpg").read_bytes()


@pytest.mark.parametrize(
    ("name", "format", "expected"),
    [
        ("a.HEIC", "HEIF", "a.jpg"),
        ("a.avif", "AVIF", "a.jpg"),
        ("a.webp", "WEBP", "a.png"),
        ("a.mpo", "MPO", "a.jpg"),
        ("screen.jpg", "PNG", "screen.png"),
    ],
)
def test_every_type_becomes_one_that_colmap_reads_and_keeps_its_lens(tmp_path, name, format, expected):
    picture = Image.linear_gradient("L").convert("RGB").resize((64, 48))
    for folder in "123":
        (tmp_path / "in" / folder).mkdir(parents=True)
        picture.save(tmp_path / "in" / folder / name, format, exif=phone_exif())
    rows = take(tmp_path)
    assert [row["file"] for row in rows] == [f"{folder}_{expected}" for folder in "123"]
    assert [row["source"] for row in rows] == [f"{folder}/{name}" for folder in "123"]
    with Image.open(tmp_path / "frames" / f"1_{expected}") as frame:
        assert frame.format == {"jpg": "JPEG", "png": "PNG"}[expected[-3:]] or format == "MPO"
        assert np.abs(np.asarray(frame, int) - np.asarray(picture, int)).mean() < 2
    assert lens_of(tmp_path / "frames" / f"1_{expected}") == ("Phone", 4.2, 28)


def test_a_smaller_photograph_keeps_its_lens_and_its_colours(tmp_path):
    (tmp_path / "in").mkdir()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for number in range(3):
        picture = Image.new("RGB", (64, 48), "red")
        picture.save(tmp_path / f"in/{number}.jpg", exif=phone_exif(), icc_profile=profile)
    take(tmp_path, max_size=32)
    assert lens_of(tmp_path / "frames/0.jpg") == ("Phone", 4.2, 28)
    assert Image.open(tmp_path / "frames/0.jpg").info["icc_profile"] == profile


def test_photographs_come_in_natural_order(tmp_path):
    for number in (1, 2, 10, 11, 100):
        save(tmp_path / f"in/frame{number}.png")
    assert [row["file"] for row in take(tmp_path)] == [f"frame{n}.png" for n in (1, 2, 10, 11, 100)]


def test_sub_folders_are_taken_and_every_frame_has_a_name_of_its_own(tmp_path):
    names = ["a b.png", "a_b.png", "A_B.PNG", "a.bmp", "a.png", "left/1.png", "right/1.png", "left_1.png"]
    for name in names:
        save(tmp_path / "in" / name)
    rows = take(tmp_path)
    assert {row["source"]: row["file"] for row in rows} == {
        "A_B.PNG": "A_B.PNG",
        "a b.png": "a_b-2.png",
        "a.bmp": "a.png",
        "a.png": "a-2.png",
        "a_b.png": "a_b-3.png",
        "left/1.png": "left_1.png",
        "left_1.png": "left_1-2.png",
        "right/1.png": "right_1.png",
    }
    assert len(list((tmp_path / "frames").iterdir())) == 8


def test_a_folder_inside_can_be_left_out(tmp_path):
    for name in ("1.png", "2.png", "3.png", "masks/1.png"):
        save(tmp_path / "in" / name)
    rows = take(tmp_path, leave_out="masks")
    assert [row["source"] for row in rows] == ["1.png", "2.png", "3.png"]


def test_names_in_no_encoding_and_names_of_full_length_become_plain(tmp_path):
    names = [os.fsdecode(b"\x8e\xfd^1.png"), "n" * 250 + ".webp", "写" * 80 + ".jpeg"]
    for name in names:
        save(tmp_path / "in" / name)
    rows = take(tmp_path)
    assert [row["file"] for row in rows] == ["n" * 200 + ".png", "写" * 66 + ".jpeg", "__^1.png"]
    assert [row["source"] for row in rows] == [names[1], names[2], r"\x8e\xfd^1.png"]
    assert {path.name for path in (tmp_path / "frames").iterdir()} == {row["file"] for row in rows}


def test_names_differ_for_every_file_system():
    taken = set()
    names = [frame_name(Path(name), taken) for name in ("é.jpg", "e\u0301.jpg", "É.jpg", "é.png")]
    assert names == ["é.jpg", "e\u0301-2.jpg", "É-3.jpg", "é-4.png"]


def test_all_unreadable_photographs_are_in_one_message(tmp_path):
    for number in range(4):
        save(tmp_path / f"in/{number}.jpg", size=(400, 300))
    (tmp_path / "in/sub").mkdir()
    (tmp_path / "in/sub/5.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (tmp_path / "in/6.jpg").symlink_to("/nowhere/6.jpg")
    whole = (tmp_path / "in/1.jpg").read_bytes()
    (tmp_path / "in/1.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TriptychError, match="3 of 6 photographs cannot be read: ") as caught:
        take(tmp_path)
    message = str(caught.value)
    for part in ("1.jpg (image file is truncated", "sub/5.heic (", "6.jpg (a link to /nowhere/6.jpg"):
        assert part in message
    assert "\n" not in message and not (tmp_path / "frames").exists()


def test_raw_files_without_a_developed_twin_are_counted_and_named(tmp_path, caplog):
    for number in range(3):
        save(tmp_path / f"in/{number}.jpg")
    for name in ("0.DNG", "7.DNG", "8.cr3", "notes.txt"):
        (tmp_path / "in" / name).write_bytes(b"x")
    with caplog.at_level(logging.WARNING, "triptych"):
        rows = take(tmp_path)
    assert "2 of 5 photographs cannot be read: 7.DNG, 8.cr3 (camera RAW)" in caplog.text
    assert "2 other files left out (.dng, .txt)" in caplog.text
    assert [(row["source"], row["kept"], row["why"]) for row in rows[3:]] == [
        ("7.DNG", "False", "camera RAW"),
        ("8.cr3", "False", "camera RAW"),
    ]
