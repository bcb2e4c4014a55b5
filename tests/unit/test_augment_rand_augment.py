"""RandAugment and random erasing: each operation is torchvision's, and each image draws for itself."""

from collections.abc import Callable
from math import atan, degrees

import pytest
import torch
import torchvision.transforms.v2.functional as tv
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode

from triptych.augment.rand_augment import COLOURS, OPERATIONS, apply, rand_augment
from triptych.augment.random_erasing import random_erasing

BILINEAR = InterpolationMode.BILINEAR


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 4, height: int = 24, width: int = 32) -> Tensor:
    """Smooth uint8 images, every channel with a histogram of its own."""
    noise = torch.rand(n, 3, height // 4, width // 4, generator=seeded(3))
    smooth = torch.nn.functional.interpolate(noise, (height, width), mode="bicubic").clamp(0, 1)
    return (255 * smooth * torch.tensor([1.0, 0.7, 0.4]).view(1, 3, 1, 1) + 10).clamp(0, 255).to(torch.uint8)


def ours(images: Tensor, name: str, share: float) -> Tensor:
    n = len(images)
    which = torch.full((n,), OPERATIONS.index(name))
    return 255 * apply(images.float() / 255, which, torch.full((n,), share))


def sheared(x: float, y: float) -> Callable[[Tensor], Tensor]:
    shear = [degrees(atan(x)), degrees(atan(y))]
    return lambda images: tv.affine(
        images, angle=0, translate=[0, 0], scale=1, shear=shear, center=[0, 0], interpolation=BILINEAR
    )


def shifted(x: int, y: int) -> Callable[[Tensor], Tensor]:
    return lambda images: tv.affine(images, angle=0, translate=[x, y], scale=1, shear=[0, 0])


@pytest.mark.parametrize("share", [-1.0, -0.3, 0.3, 0.7])
def test_moves_are_torchvisions(share: float) -> None:
    images = pictures().float()
    x, y = int(150 / 331 * 32 * share), int(150 / 331 * 24 * share)
    expected = {
        "shear_x": sheared(0.3 * share, 0),
        "shear_y": sheared(0, 0.3 * share),
        "translate_x": shifted(x, 0),
        "translate_y": shifted(0, y),
        "rotate": lambda images: tv.rotate(images, 30 * share, interpolation=BILINEAR),
    }
    for name, operation in expected.items():
        got, wanted = ours(images, name, share), operation(images)
        if name.startswith("translate"):
            torch.testing.assert_close(got, wanted, atol=1e-2, rtol=0)
            continue
        # torchvision blends with its fill beyond the border; compare where no such pixel has a say.
        inside = operation(torch.ones_like(images)) == 1
        assert inside.float().mean() > 0.6
        torch.testing.assert_close(got[inside], wanted[inside], atol=0.1, rtol=0)


@pytest.mark.parametrize("share", [-1.0, -0.3, 0.3, 0.7])
def test_enhancements_are_torchvisions(share: float) -> None:
    images = pictures()
    factor = 1 + 0.9 * share
    for name, operation in {
        "brightness": tv.adjust_brightness,
        "saturation": tv.adjust_saturation,
        "contrast": tv.adjust_contrast,
        "sharpness": tv.adjust_sharpness,
    }.items():
        exact = 255 * operation(images.float() / 255, factor)
        torch.testing.assert_close(ours(images, name, share), exact, atol=0.05, rtol=0)


@pytest.mark.parametrize("magnitude", [0, 4, 9, 20, 30])
def test_operations_on_levels_are_torchvisions_on_bytes(magnitude: int) -> None:
    images, share = pictures(), magnitude / 30
    bits, threshold = 8 - round(4 * share), 255 * (1 - share)
    expected = {
        "posterise": tv.posterize(images, bits),
        "solarise": tv.solarize(images, threshold),
        "equalise": tv.equalize(images),
    }
    for name, wanted in expected.items():
        for sign in (-1, 1):
            torch.testing.assert_close(
                ours(images, name, sign * share), wanted.float(), atol=1e-3, rtol=0, msg=name
            )
    stretched = ours(images, "autocontrast", share)
    torch.testing.assert_close(stretched, 255 * tv.autocontrast(images.float() / 255), atol=1e-2, rtol=0)


@pytest.mark.parametrize("name", ["posterise", "equalise"])
def test_an_ulp_outside_of_the_range_is_black_or_white(name: str) -> None:
    images = torch.tensor([-1.2e-7, 1 + 1.2e-7]).repeat(1, 3, 8, 4)
    changed = COLOURS[name](images, torch.tensor([0.3]))
    assert changed.min() >= 0 and changed.max() <= 1


def test_flat_channels_are_left_alone() -> None:
    flat = torch.full((2, 3, 8, 8), 77, dtype=torch.uint8)
    for name in ("autocontrast", "equalise", "identity"):
        torch.testing.assert_close(ours(flat, name, 0.5), flat.float())


def test_equalise_is_torchvisions_on_nearly_flat_and_on_tiny_images() -> None:
    for images in (pictures(2, 8, 8), (pictures(2) > 60).to(torch.uint8) * 200):
        torch.testing.assert_close(
            ours(images, "equalise", 0.0), tv.equalize(images).float(), atol=1e-3, rtol=0
        )


@settings(max_examples=20)
@given(st.permutations(range(14)), st.lists(st.floats(-1, 1), min_size=14, max_size=14))
def test_a_batch_is_its_images_one_by_one(which: list[int], shares: list[float]) -> None:
    images = pictures(14).float() / 255
    chosen, share = torch.tensor(which), torch.tensor(shares)
    batch = apply(images, chosen, share)
    single = [apply(images[i : i + 1], chosen[i : i + 1], share[i : i + 1]) for i in range(14)]
    torch.testing.assert_close(batch, torch.cat(single), atol=1e-5, rtol=0)


def test_operations_and_signs_are_drawn_for_each_image() -> None:
    n = 3000
    image = pictures(1).float() / 255
    out = rand_augment(image.expand(n, -1, -1, -1), operations=1, magnitude=9, generator=seeded())
    assert out.min() >= 0 and out.max() <= 1
    # 14 operations, 9 of which have a direction: these are all the images there can be.
    counts = torch.unique(out.flatten(1), dim=0, return_counts=True)[1]
    signed = [apply(image, torch.tensor([k]), torch.tensor([s])) for k in range(14) for s in (-0.3, 0.3)]
    assert len(counts) == len(torch.unique(torch.cat(signed).flatten(1), dim=0))
    expected = n / 28
    assert (counts > expected - 5 * expected**0.5).all() and (
        counts < 4 * (expected + 5 * expected**0.5)
    ).all()


def test_more_operations_change_more_and_the_generator_decides() -> None:
    images = pictures(200).float() / 255
    once, twice = (rand_augment(images, operations=k, magnitude=9, generator=seeded(1)) for k in (1, 2))
    kept = [(out == images).flatten(1).all(1).float().mean().item() for out in (once, twice)]
    assert 0.02 < kept[0] < 0.2 and kept[1] < kept[0]
    again = rand_augment(images, operations=2, magnitude=9, generator=seeded(1))
    assert torch.equal(twice, again)


def test_images_lie_in_memory_as_the_trainings_have_them() -> None:
    images = (pictures().float() / 255).contiguous(memory_format=torch.channels_last)
    for name in OPERATIONS:
        which, share = torch.full((4,), OPERATIONS.index(name)), torch.full((4,), 0.4)
        out = apply(images, which, share)
        torch.testing.assert_close(out, apply(images.contiguous(), which, share))
        assert out.is_contiguous(memory_format=torch.channels_last)
    erased = random_erasing(images, probability=1.0, generator=seeded())
    assert erased.is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=30)
@given(st.integers(8, 40), st.floats(0, 1), st.integers(0, 999))
def test_erasing_puts_noise_into_one_rectangle_inside_of_some_images(
    size: int, probability: float, seed: int
) -> None:
    images = torch.full((30, 3, size, size), 9.0)
    erased = random_erasing(images, probability=probability, generator=seeded(seed))
    for image in erased:
        hole = (image[0] != 9).nonzero()
        if len(hole):
            sides = hole.amax(0) - hole.amin(0) + 1
            assert sides.prod() == len(hole)
            assert len(hole) / size**2 < 0.4 + 2 / size  # sides are whole pixels
            assert sides.max() / sides.min() < 1 / 0.3 * 1.6
        assert torch.equal((image != 9).any(0), (image != 9).all(0))  # every channel


def test_erasing_has_its_share_of_images_its_mean_area_and_normal_noise() -> None:
    n = 4000
    erased = random_erasing(torch.full((n, 1, 32, 32), 99.0), probability=0.25, generator=seeded())
    holes = erased != 99
    touched = holes.flatten(1).any(1)
    assert abs(touched.float().mean().item() - 0.25) < 0.03
    assert abs(holes[touched].float().mean().item() - 0.21) < 0.01  # shares are uniform from 0.02 to 0.4
    noise = erased[holes]
    assert abs(noise.mean().item()) < 0.01 and abs(noise.std().item() - 1) < 0.01
