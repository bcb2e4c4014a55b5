"""Image files of every kind that people bring, and files that are none."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from triptych.data.image_files import (
    SUFFIXES,
    UnreadableImage,
    find_files,
    image_size,
    load_image,
    plain_name,
    printable,
    to_8_bits,
    unreadable_images,
)

NOT_UTF8 = os.fsdecode(b"\x8e\xfd^1.jpg")  # Japanese, from an old archive


def ramp() -> np.ndarray:
    return np.linspace(0, 255, 48 * 32).astype(np.uint8).reshape(32, 48)


@pytest.mark.parametrize(
    ("suffix", "format", "error"),
    [
        *[("jpg", "JPEG", 2), ("mpo", "MPO", 2), ("png", "PNG", 0), ("webp", "WEBP", 4), ("heic", "HEIF", 4)],
        *[
            ("avif", "AVIF", 4),
            ("tif", "TIFF", 0),
            ("bmp", "BMP", 0),
            ("gif", "GIF", 0),
            ("jp2", "JPEG2000", 2),
        ],
        *[
            ("apng", "PNG", 0),
            ("j2k", "JPEG2000", 2),
            ("pnm", "PPM", 0),
            ("dib", "DIB", 0),
            ("tga", "TGA", 0),
        ],
        *[("pcx", "PCX", 0), ("sgi", "SGI", 0), ("qoi", "QOI", 0)],
    ],
)
def test_each_format_is_read(tmp_path: Path, suffix: str, format: str, error: int) -> None:
    path = tmp_path / f"a.{suffix}"
    picture = Image.fromarray(ramp()) if format == "GIF" else Image.fromarray(ramp()).convert("RGB")
    picture.save(path, format, **({"quality": 95} if error else {}))
    assert path.suffix in SUFFIXES
    pixels = np.asarray(to_8_bits(load_image(path)), int)
    assert pixels.shape == (32, 48, 3) and image_size(path) == (48, 32)
    assert np.abs(pixels - ramp()[..., None]).mean() <= error


def test_more_bits_are_scaled_and_never_clipped(tmp_path: Path) -> None:
    grey, shades = ramp(), ramp().astype(np.uint16) * 257
    Image.fromarray(shades).save(tmp_path / "a.png")
    Image.fromarray(shades).save(tmp_path / "a.tif")
    Image.fromarray(shades).save(tmp_path / "a.pgm")
    Image.fromarray(np.float32(grey / 255)).save(tmp_path / "float.tif")
    for path in tmp_path.iterdir():
        assert np.array_equal(np.asarray(to_8_bits(load_image(path)))[..., 0], grey), path.name


@pytest.mark.parametrize("scale", [1, 257, 2**22])
@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_values_without_a_known_white_are_refused(tmp_path: Path, scale: int, kind: type) -> None:
    Image.fromarray((ramp().astype(np.int64) * scale).astype(kind)).save(tmp_path / "a.tif")
    with pytest.raises(UnreadableImage, match=r"a.tif: .*go from 0 to .*with 8 or 16 bits"):
        load_image(tmp_path / "a.tif")


def test_200_megapixels_are_a_photograph_and_2000_are_not(tmp_path: Path) -> None:
    header = io.BytesIO()
    Image.new("1", (1, 1)).save(header, "PNG")
    for name, size in (("phone", (16320, 12240)), ("bomb", (50000, 40000))):
        # the first chunk: its name, width and height, 5 more bytes, and its checksum
        chunk = b"IHDR" + struct.pack(">II", *size) + header.getvalue()[24:29]
        content = (
            header.getvalue()[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + header.getvalue()[33:]
        )
        (tmp_path / f"{name}.png").write_bytes(content)
    assert image_size(tmp_path / "phone.png") == (16320, 12240)
    with pytest.raises(UnreadableImage, match="bomb"):
        image_size(tmp_path / "bomb.png")


def test_postscript_is_never_run_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text(
        "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    )
    with pytest.raises(UnreadableImage, match="unknown type"):
        load_image(tmp_path / "a.png")


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_malformed_exif_data_do_not_spoil_a_picture(tmp_path: Path, format: str) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a", format, exif=b"Exif\0\0garbage")
    assert dict(load_image(tmp_path / "a").getexif()) == {}


def test_one_message_names_every_unreadable_file_and_its_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "fake.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    (tmp_path / "link.jpg").symlink_to("/nowhere/a.jpg")
    (tmp_path / NOT_UTF8).write_bytes(b"x")
    (tmp_path / "in").mkdir()
    Image.effect_noise((90, 90), 50).save(tmp_path / "in/cut.jpg")
    whole = (tmp_path / "in/cut.jpg").read_bytes()
    (tmp_path / "in/cut.jpg").write_bytes(whole[: len(whole) // 2])
    errors = []
    for path in find_files(tmp_path):
        with pytest.raises(UnreadableImage) as caught:
            load_image(path)
        errors.append(caught.value)
    error = unreadable_images(errors, 9, folder=tmp_path, unit="photographs", remedy="replace them")
    text = str(error)
    assert "5 of 9 photographs cannot be read: " in text and text.endswith("; replace them")
    assert "empty.jpg (empty)" in text and "in/cut.jpg (image file is truncated" in text
    assert "link.jpg (a link to /nowhere/a.jpg, which does not exist)" in text
    assert r"fake.heic, \x8e\xfd^1.jpg (damaged or of an unknown type)" in text
    assert "\n" not in text and text.encode()


def test_many_unreadable_files_are_counted_beyond_the_first_hundred() -> None:
    errors = [UnreadableImage(Path(f"in/{number}.jpg"), "damaged", "") for number in range(150)]
    text = str(unreadable_images(errors, 200, folder=Path("in"), unit="images", remedy="replace them"))
    assert "150 of 200 images" in text and "99.jpg (damaged) and 50 more; replace them" in text


def test_files_come_in_natural_order_from_all_sub_folders_once(tmp_path: Path) -> None:
    names = ["a2.jpg", "a10.jpg", "b/1.jpg", "b/c/1.jpg", "take 2/9.png", "take 10/1.png"]
    for name in (*reversed(names), ".git/1.jpg", "b/._1.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    (tmp_path / "b/loop").symlink_to(tmp_path)
    assert [path.relative_to(tmp_path).as_posix() for path in find_files(tmp_path)] == names


def test_names_become_text_that_every_program_can_write() -> None:
    assert printable(NOT_UTF8) == r"\x8e\xfd^1.jpg" and plain_name(NOT_UTF8) == "__^1.jpg"
    assert plain_name("#1 a\nb.jpg") == "_1_a_b.jpg"
