"""Image folders: order, sizes, splits, and everything that can be wrong with them."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from triptych.data.folder import read_folder, read_image
from triptych.workflow.errors import TriptychError


def picture(path, value=128, size=(8, 8), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value,) * len(mode)).save(path)


def folder_of(root, **counts):
    """`part__class=count` -> images; image number i of a class is filled with i."""
    for key, count in counts.items():
        part, name = key.split("__")
        (root / part / name).mkdir(parents=True)
        for number in range(count):
            picture(root / part / name / f"{number:03d}.png", number)
    return root


def read(root, **options):
    return read_folder(root, **({"image_size": 8, "test_fraction": 0.25, "seed": 0} | options))


def test_classes_and_files_come_in_the_order_of_their_names(tmp_path):
    images = read(folder_of(tmp_path, train__zebra=3, train__ant=2, test__zebra=1, test__ant=1))
    assert images.classes == ("ant", "zebra")
    assert images.train_labels.tolist() == [0, 0, 1, 1, 1]
    assert images.train_images[:, 0, 0, 0].tolist() == [0, 1, 0, 1, 2]
    assert images.test_labels.tolist() == [0, 1]
    assert images.train_images.dtype == np.uint8 and images.train_labels.dtype == np.int64


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    counts=st.lists(st.integers(4, 9), min_size=2, max_size=4),
    fraction=st.floats(0.25, 0.75),
    seed=st.integers(0, 3),
)
def test_without_test_images_every_class_gives_its_share(tmp_path_factory, counts, fraction, seed):
    root = folder_of(
        tmp_path_factory.mktemp("f"), **{f"train__{index}": count for index, count in enumerate(counts)}
    )
    images = read(root, test_fraction=fraction, seed=seed)
    assert len(images.test_labels) == round(fraction * sum(counts))
    seen = [
        (label, int(image[0, 0, 0]))
        for part in ("train", "test")
        for image, label in zip(
            getattr(images, f"{part}_images"), getattr(images, f"{part}_labels").tolist(), strict=True
        )
    ]
    assert sorted(seen) == [(label, number) for label, count in enumerate(counts) for number in range(count)]


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "bmp", "PNG"])
def test_usual_formats_are_read(tmp_path, suffix):
    picture(tmp_path / f"a.{suffix}", 200)
    assert abs(int(read_image(tmp_path / f"a.{suffix}", 8)[4, 4, 0]) - 200) <= 2


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    picture(tmp_path / "a.png", 77, mode=mode)
    assert read_image(tmp_path / "a.png", 8).tolist() == [[[77] * 3] * 8] * 8


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    Image.fromarray(np.full((8, 8), 77 * 256, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8) == 77).all()


def test_an_image_of_the_right_size_keeps_its_pixels(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png", 8), pixels)


def test_the_central_square_is_kept(tmp_path):
    pixels = np.zeros((10, 30, 3), np.uint8)
    pixels[:, 10:20] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 10) == 255).all()


def test_a_photograph_is_turned_upright(tmp_path):
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:4] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # stored upside down
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    upright = read_image(tmp_path / "a.png", 8)
    assert upright[:4].max() == 0 and upright[4:].min() == 255


def test_hidden_and_other_files_are_ignored(tmp_path):
    root = folder_of(tmp_path, train__a=8, train__b=8)
    (root / "train/a/.thumbnail.png").write_bytes(b"x")
    (root / "train/a/notes.txt").write_text("x")
    (root / "train/.cache").mkdir()
    assert len(read(root).train_labels) + len(read(root).test_labels) == 16


def test_unreadable_files_are_counted_and_the_first_is_named(tmp_path):
    root = folder_of(tmp_path, train__a=8, train__b=8)
    (root / "train/b/003.png").write_bytes(b"no picture")
    whole = (root / "train/b/006.png").read_bytes()
    (root / "train/b/006.png").write_bytes(whole[:50])
    with pytest.raises(
        TriptychError, match=r"2 of 16 images cannot be read, first .*train/b/003\.png"
    ) as caught:
        read(root, workers=3)
    assert "\n" not in str(caught.value)


def test_a_single_class_is_refused(tmp_path):
    with pytest.raises(TriptychError, match="one class only"):
        read(folder_of(tmp_path, train__a=8))


def test_an_empty_class_is_named(tmp_path):
    with pytest.raises(TriptychError, match="train/b has no images"):
        read(folder_of(tmp_path, train__a=8, train__b=0))
    with pytest.raises(TriptychError, match="test/b has no images"):
        read(folder_of(tmp_path / "2", train__a=8, train__b=1, test__a=1, test__b=0))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(TriptychError, match="train has no images"):
        read(tmp_path)
    with pytest.raises(TriptychError, match="no folder train/"):
        read(tmp_path / "train")


def test_a_class_that_only_test_has_is_named(tmp_path):
    with pytest.raises(TriptychError, match=r"test/c is a class that .*train lacks"):
        read(folder_of(tmp_path, train__a=2, train__b=2, test__a=1, test__c=1))


def test_a_class_too_small_to_split_is_named(tmp_path):
    with pytest.raises(TriptychError, match=r"train/b has too few images .* \(none left to test\)"):
        read(folder_of(tmp_path, train__a=40, train__b=1), test_fraction=0.1)
