"""Batched augmentations: each operation is torchvision's. Their distributions: test_nn_views.py."""

import numpy as np
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import ColorJitter

from triptych.augment import color, geometry


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 6, size: int = 32) -> torch.Tensor:
    return torch.rand(n, 3, size, size, generator=seeded(3))


@settings(max_examples=40)
@given(
    st.integers(0, 20),
    st.integers(0, 20),
    st.integers(1, 12),
    st.integers(1, 12),
    st.sampled_from([8, 16, 32]),
)
def test_crop_and_resize_equals_torchvisions(top: int, left: int, height: int, width: int, size: int) -> None:
    images = pictures(1)
    rows = geometry.resize_matrix(torch.tensor([float(top)]), torch.tensor([float(height)]), 32, size)
    columns = geometry.resize_matrix(torch.tensor([float(left)]), torch.tensor([float(width)]), 32, size)
    got = rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1)
    expected = tv.resized_crop(images, top, left, height, width, [size, size], antialias=True)
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_crop_resize_flip_agrees_with_pillow_to_one_grey_level() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    expected = np.asarray(
        Image.fromarray(pixels).crop((5, 3, 25, 28)).resize((32, 32), Image.Resampling.BILINEAR)
    )
    rows = geometry.resize_matrix(torch.tensor([3.0]), torch.tensor([25.0]), 32, 32)
    columns = geometry.resize_matrix(torch.tensor([5.0]), torch.tensor([20.0]), 32, 32)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float()
    got = (rows.unsqueeze(1) @ images @ columns.transpose(1, 2).unsqueeze(1))[0].permute(1, 2, 0).numpy()
    assert np.abs(got - expected).max() <= 1.0


def test_each_colour_operation_equals_torchvisions() -> None:
    images = pictures()
    for factor in (0.0, 0.6, 1.0, 1.4):
        factors = torch.full((len(images),), factor)
        torch.testing.assert_close(
            color.adjust_brightness(images, factors), tv.adjust_brightness(images, factor)
        )
        torch.testing.assert_close(color.adjust_contrast(images, factors), tv.adjust_contrast(images, factor))
        torch.testing.assert_close(
            color.adjust_saturation(images, factors), tv.adjust_saturation(images, factor)
        )
    for shift in (-0.5, -0.1, 0.0, 0.07, 0.4):
        got = color.adjust_hue(images, torch.full((len(images),), shift))
        torch.testing.assert_close(got, tv.adjust_hue(images, shift), atol=1e-5, rtol=0)


def test_hue_leaves_grey_alone() -> None:
    grey = torch.rand(2, 1, 8, 8, generator=seeded()).expand(-1, 3, -1, -1)
    torch.testing.assert_close(color.adjust_hue(grey, torch.tensor([0.3, -0.2])), grey)


def test_colour_jitter_has_torchvisions_distribution() -> None:
    image = pictures(1, 8)
    n = 400
    strength = (0.4, 0.4, 0.4, 0.1)
    factors, order = color.draw_jitter(n, strength=strength, generator=seeded())
    ours = color.jitter(image.expand(n, -1, -1, -1), factors, order, torch.ones(n, dtype=torch.bool))
    torch.manual_seed(0)
    jitter = ColorJitter(*strength)
    theirs = torch.stack([jitter(image[0]) for _ in range(n)])
    for statistic in (lambda x: x.mean(dim=(2, 3)), lambda x: x.std(dim=(2, 3))):
        a, b = statistic(ours), statistic(theirs)
        error = (a.var(0) / n + b.var(0) / n).sqrt()
        assert ((a.mean(0) - b.mean(0)).abs() < 4 * error).all()
        torch.testing.assert_close(a.std(0), b.std(0), rtol=0.2, atol=0)


def test_shift_and_flip_copy_pixels_exactly() -> None:
    images = pictures(64)
    moved = geometry.random_shift_flip_rotate(images, padding=4, flip=0.5, degrees=0, generator=seeded())
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    for before, after in zip(padded, moved, strict=True):
        candidates = [
            torch.equal(after, view[:, top : top + 32, left : left + 32])
            for view in (before, before.flip(2))
            for top in range(9)
            for left in range(9)
        ]
        assert any(candidates)


def test_rotation_equals_torchvisions_away_from_the_border() -> None:
    images = pictures(1, 24)
    moved = geometry.random_shift_flip_rotate(images, padding=0, flip=0.0, degrees=30, generator=seeded(5))
    replay = seeded(5)
    torch.randint(0, 1, (2, 1), generator=replay)
    torch.rand(1, generator=replay)
    angle = -30 + 60 * torch.rand(1, generator=replay).item()
    expected = tv.rotate(images, angle, interpolation=tv.InterpolationMode.BILINEAR)
    torch.testing.assert_close(moved[..., 4:20, 4:20], expected[..., 4:20, 4:20], atol=1e-4, rtol=0)


def test_a_large_image_is_cropped_resized_and_turned_about_the_crops_centre() -> None:
    """Without flip and rotation the result is torchvision's crop, resized bilinearly without antialiasing."""
    images = torch.rand(3, 3, 90, 100)
    found = geometry.random_crop_flip_rotate(images, size=80, flip=0.0, degrees=0.0, generator=seeded(4))
    boxes = geometry.draw_crops(3, 90, 100, scale=geometry.CROP_SCALE, generator=seeded(4))
    for image, box, crop in zip(images, boxes.tolist(), found, strict=True):
        top, left, tall, wide = box
        assert tall * wide >= 0.2 * 90 * 100
        expected = tv.resized_crop(image, top, left, tall, wide, [80, 80], antialias=False)
        inside = (slice(None), slice(1, -1), slice(1, -1))  # at the edge, pixels beside the crop are seen
        torch.testing.assert_close(crop[inside], expected[inside], rtol=1e-3, atol=1e-3)
    mirrored = geometry.random_crop_flip_rotate(images, size=80, flip=1.0, degrees=0.0, generator=seeded(4))
    torch.testing.assert_close(mirrored, found.flip(3), rtol=1e-3, atol=1e-3)


def test_small_images_are_shifted_and_large_ones_cropped_to_the_networks_size() -> None:
    base = {"padding": 4, "flip": 0.5, "degrees": 15}
    small, large = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 110, 110)
    shifted = geometry.random_shift_flip_rotate(small, **base, generator=seeded())
    assert torch.equal(geometry.random_geometry(small, **base, generator=seeded()), shifted)
    assert geometry.random_geometry(large, **base, size=96, generator=seeded()).shape == (2, 3, 96, 96)
