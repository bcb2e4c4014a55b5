"""Which images share a camera: those of one size that were taken through one lens."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from triptych.sfm.features import images_by_lens

PHONE = {"make": "Maker", "model": "Phone", "focal": 4.2, "focal_35mm": 26}


def save(path: Path, size: tuple[int, int] = (64, 48), **lens: Any) -> None:
    exif = Image.Exif()
    for tag, name in ((0x010F, "make"), (0x0110, "model")):
        if name in lens:
            exif[tag] = lens[name]
    for tag, name in ((0x920A, "focal"), (0xA405, "focal_35mm")):
        if name in lens:
            exif.get_ifd(0x8769)[tag] = lens[name]
    Image.new("RGB", size).save(path, exif=exif)


def groups(folder: Path) -> list[list[str]]:
    return sorted(images_by_lens(folder).values())


@pytest.mark.parametrize(
    "other", [{"make": "Other"}, {"model": "Camera"}, {"focal": 1.5}, {"focal_35mm": 52}, {"size": (48, 64)}]
)
def test_another_size_camera_or_focal_length_is_another_camera(tmp_path: Path, other: dict[str, Any]) -> None:
    for name in ("1.jpg", "10.png", "9.jpg"):
        save(tmp_path / name, **PHONE)
    save(tmp_path / "2.jpg", **PHONE | other)
    assert groups(tmp_path) == [["1.jpg", "9.jpg", "10.png"], ["2.jpg"]]


def test_without_exif_data_the_size_decides(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.png"):
        Image.new("RGB", (64, 48)).save(tmp_path / name)
    Image.new("RGB", (64, 50)).save(tmp_path / "3.jpg")
    Image.new("RGB", (64, 48)).save(tmp_path / "4.jpg", exif=b"Exif\0\0garbage")
    assert groups(tmp_path) == [["1.jpg", "2.png", "4.jpg"], ["3.jpg"]]


def test_a_malformed_focal_length_is_none(tmp_path: Path) -> None:
    save(tmp_path / "1.jpg", focal=(0, 0))
    save(tmp_path / "2.jpg")
    assert groups(tmp_path) == [["1.jpg", "2.jpg"]]
