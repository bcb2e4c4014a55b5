"""The size of images for which the config gives none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from triptych.data.image_sizes import SIZES, fitting_size, median_side, pack_side
from triptych.models import vit


@pytest.mark.parametrize(
    ("median", "size"),
    [
        (0, 32),
        (28, 32),
        (32, 32),
        (40, 32),
        (50, 48),
        (64, 64),
        (96, 96),
        (150, 128),
        (224, 224),
        (4000, 224),
    ],
)
def test_images_are_read_at_the_size_that_half_of_them_have(median, size):
    assert fitting_size(median) == size


@given(st.integers(32, 10_000))
def test_images_are_not_enlarged_and_up_to_224_pixels_keep_two_thirds(median):
    assert min(median, 224) * 2 / 3 <= fitting_size(median) <= median


@pytest.mark.parametrize("side", SIZES)
def test_the_vit_has_a_patch_for_each_size(side):
    model = vit.build(10, side, dim=8, depth=1, heads=1, mlp=8)
    assert 5 * 5 < model.positions.shape[1] <= 1 + 14 * 14


def test_the_shorter_sides_count_and_damaged_images_do_not(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, size in zip(paths, [(500, 90), (100, 300), (120, 120)], strict=False):
        Image.new("RGB", size).save(path)
    paths[3].write_bytes(b"damaged")
    assert median_side(paths) == 100


@given(st.integers(1, 10_000))
def test_packed_images_have_no_more_pixels_than_half_of_the_images(median):
    size = fitting_size(median)
    assert size <= pack_side(median, size, None) <= max(median, size)
