"""Masks of every kind become black and white, one beside each frame, and what does not fit is told."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap
import pytest
from PIL import Image

from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.sfm.features import PEAK_THRESHOLD, extract_features
from triptych.sfm.masks import normalise_mask, prepare_masks
from triptych.workflow.errors import TriptychError

SIZE = (64, 48)
LEFT = np.arange(64)[None].repeat(48, 0) < 32


def scene(folder: Path, sources: dict[str, str], size: tuple[int, int] = SIZE) -> None:
    """Frames and frames.csv of photographs, by frame."""
    (folder / "frames").mkdir()
    for frame in sources:
        Image.effect_noise(size, 90).convert("RGB").save(folder / "frames" / frame)
    rows = [ManifestRow(number, file, source=source) for number, (file, source) in enumerate(sources.items())]
    write_manifest(folder / "frames.csv", rows)


def save(path: Path, image: Image.Image, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def left_half(mode: str = "L") -> Image.Image:
    return Image.fromarray(np.uint8(LEFT) * 255).convert(mode)


def prepare(folder: Path) -> dict[str, np.ndarray]:
    prepare_masks(folder / "in", folder / "frames", folder / "frames.csv", folder / "masks")
    return {path.name: np.asarray(Image.open(path)) for path in sorted((folder / "masks").iterdir())}


def test_a_mask_is_found_by_the_name_of_its_photograph_or_of_its_frame(tmp_path: Path) -> None:
    scene(tmp_path, {"a_1.jpg": "a/1.JPG", "b_1.jpg": "b/1.jpg", "3.HEIC.jpg": "3.HEIC", "000004.png": ""})
    for name in ("a/1.png", "b/1.jpg.png", "3.webp", "000004.png"):
        save(tmp_path / "in" / name, left_half(), **({"lossless": True} if "webp" in name else {}))
    masks = prepare(tmp_path)
    assert list(masks) == ["000004.png.png", "3.HEIC.jpg.png", "a_1.jpg.png", "b_1.jpg.png"]
    assert all(np.array_equal(mask, np.uint8(LEFT) * 255) for mask in masks.values())


def cut_out() -> Image.Image:
    picture = Image.effect_noise(SIZE, 90).convert("RGB")
    picture.putalpha(left_half())
    return picture


def classes() -> Image.Image:
    image = Image.fromarray(
        np.where(LEFT, np.where(np.arange(48)[:, None] < 20, 1, 2), 0).astype(np.uint8), "P"
    )
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 20, 0])
    return image


@pytest.mark.parametrize(
    "image",
    [
        *[left_half(mode) for mode in ("1", "L", "RGB", "RGBA", "P", "LA")],
        *[cut_out(), classes()],
        Image.fromarray(np.uint8(LEFT)),  # 0 and 1
        Image.fromarray(np.where(LEFT, 230, 12).astype(np.uint8)),  # not quite black and white
        Image.fromarray(np.uint16(LEFT) * 65535),
    ],
)
def test_a_mask_of_any_kind_becomes_black_and_white(image: Image.Image) -> None:
    assert np.array_equal(np.asarray(normalise_mask(image)), np.uint8(LEFT) * 255)


def test_a_mask_of_another_size_is_resized_and_one_of_another_shape_refused(tmp_path: Path) -> None:
    scene(tmp_path, {"1.jpg": "1.jpg", "2.jpg": "2.jpg", "3.jpg": "3.jpg"})
    save(tmp_path / "in/1.png", left_half().resize((32, 24)))
    assert np.array_equal(prepare(tmp_path)["1.jpg.png"], np.uint8(LEFT) * 255)
    save(tmp_path / "in/2.png", left_half().rotate(90, expand=True))
    (tmp_path / "in/3.png").write_bytes(b"x")
    with pytest.raises(TriptychError, match="2 of 3 masks cannot be read: ") as caught:
        prepare(tmp_path)
    assert "2.png (it is 48x64, its image 64x48)" in str(caught.value) and "3.png (" in str(caught.value)


def test_what_has_no_partner_is_counted_and_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scene(tmp_path, {"1.jpg": "1.jpg", "2.jpg": "2.jpg"})
    save(tmp_path / "in/1.png", Image.new("L", SIZE))
    save(tmp_path / "in/7.png", left_half())
    with caplog.at_level(logging.WARNING, "triptych"):
        assert prepare(tmp_path)["2.jpg.png"].min() == 255
    assert "1 of 2 images have no mask and are used whole (2.jpg)" in caplog.text
    assert "1 masks fit no image that is used (7.png)" in caplog.text
    assert "1 masks hide their whole image (1.png)" in caplog.text


@pytest.mark.parametrize(
    ("name", "found"), [("7.png", "1 images with names such as 7"), ("7.txt", "no images")]
)
def test_masks_that_fit_nothing_are_refused_with_an_example(tmp_path: Path, name: str, found: str) -> None:
    scene(tmp_path, {"a_1.jpg": "a/1.jpg"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).touch()
    with pytest.raises(TriptychError, match=rf"no mask has the name .*{found}.*such as a/1\.png"):
        prepare(tmp_path)
    assert not (tmp_path / "masks").exists()


def test_no_features_are_found_where_a_mask_is_black(tmp_path: Path) -> None:
    scene(tmp_path, {"1.png": "1.png", "2.png": "2.png"}, size=(256, 192))
    save(tmp_path / "in/1.png", left_half())
    prepare(tmp_path)
    extract_features(
        tmp_path / "database.db",
        tmp_path / "frames",
        masks=tmp_path / "masks",
        max_image_size=256,
        max_features=500,
        first_octave=0,
        peak_threshold=PEAK_THRESHOLD,
        affine=False,
        threads=1,
    )
    with pycolmap.Database.open(tmp_path / "database.db") as database:
        columns = {
            image.name: database.read_keypoints(image.image_id)[:, 0] for image in database.read_all_images()
        }
    assert 0 < columns["1.png"].max() < 129 and columns["2.png"].max() > 200
