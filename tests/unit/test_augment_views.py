"""Views of images: the kernel draws what PyTorch draws, and PyTorch draws what torchvision does."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from PIL import Image
from torch import Tensor

from triptych.augment.views import Parameters, draw_parameters, draw_views, render_views
from triptych.kernels.views.render import render_views as kernel_views

VIEWS = {
    "crop_scale": [0.08, 1.0],
    "jitter": [0.4, 0.4, 0.4, 0.1],
    "jitter_probability": 0.8,
    "grayscale_probability": 0.2,
    "blur_probability": 0.5,
}
PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 16, height: int = 32, width: int = 32) -> Tensor:
    """(n, 3, height, width) random bytes, channels_last."""
    size = (n, height, width, 3)
    return torch.randint(0, 256, size, dtype=torch.uint8, generator=seeded(3)).permute(0, 3, 1, 2)


def untouched(n: int, height: int = 32, width: int = 32) -> Parameters:
    """Views that are the images themselves."""
    no = torch.zeros(n, dtype=torch.bool)
    return Parameters(
        boxes=torch.tensor([0, 0, height, width]).repeat(n, 1),
        mirrored=no,
        jittered=no,
        factors=torch.tensor([1.0, 1.0, 1.0, 0.0]).repeat(n, 1),
        order=torch.arange(4).repeat(n, 1),
        grey=no,
        sigma=torch.zeros(n),
    )


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


# The kernel against PyTorch ---------------------------------------------------------------------------


@pytest.mark.parametrize("blur", [0.0, 0.5])
@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("sides", [(32, 32), (20, 28), (33, 31), (64, 48), (96, 96)])
def test_the_kernel_renders_what_pytorch_renders(sides: tuple[int, int], size: int, blur: float) -> None:
    images = pictures(16, *sides)
    drawn = draw_parameters(48, *sides, VIEWS | {"blur_probability": blur}, seeded())
    got, expected = (render(images, drawn, size=size, **PLAIN) for render in (kernel_views, render_views))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [3, 7, 37, 80])
def test_the_kernel_renders_sizes_that_fill_no_vector(size: int) -> None:
    images, drawn = pictures(), draw_parameters(16, 32, 32, VIEWS, seeded())
    got, expected = (render(images, drawn, size=size, **PLAIN) for render in (kernel_views, render_views))
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


# The views as a whole --------------------------------------------------------------------------------


@pytest.mark.parametrize("render", [render_views, kernel_views])
def test_the_same_bits_on_any_number_of_threads(
    threads: Callable[[int], None], render: Callable[..., Tensor]
) -> None:
    drawn = []
    options = {"size": 32, "mean": MEAN, "std": STD, "count": 2, "render": render}
    for number in (1, 3):
        threads(number)
        drawn.append(draw_views(pictures(50), VIEWS, generator=seeded(), **options))
    assert torch.equal(*drawn)


def test_an_untouched_view_is_the_normalised_image() -> None:
    images = pictures()
    expected = tv.normalize(images.float() / 255, MEAN, STD)
    got = render_views(images, untouched(len(images)), size=32, mean=MEAN, std=STD)
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-6)
    assert got.is_contiguous(memory_format=torch.channels_last)


def test_row_i_plus_v_times_b_is_view_v_of_image_i() -> None:
    images = torch.arange(0, 250, 25, dtype=torch.uint8).view(10, 1, 1, 1).expand(10, 3, 16, 16)
    plain = VIEWS | {"jitter_probability": 0.0}
    views = draw_views(images, plain, size=8, **PLAIN, generator=seeded(), count=3)
    assert views.shape == (30, 3, 8, 8)
    shades = torch.arange(0, 250, 25).repeat(3) / 255
    torch.testing.assert_close(views.mean(dim=(1, 2, 3)), shades, atol=1e-3, rtol=0)


def test_views_of_an_image_differ_and_come_back_with_the_seed() -> None:
    first, again = (
        draw_views(pictures(), VIEWS, size=32, mean=MEAN, std=STD, generator=seeded(5), count=2)
        for _ in range(2)
    )
    assert torch.equal(first, again)
    assert (first[:16] != first[16:]).flatten(1).any(dim=1).all()


def test_only_bytes_are_accepted() -> None:
    with pytest.raises(TypeError, match="uint8"):
        draw_views(pictures().float(), VIEWS, size=32, mean=MEAN, std=STD, generator=seeded())


# Single operations against torchvision ----------------------------------------------------------------


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("box", [(0, 0, 32, 32), (3, 5, 25, 20), (10, 0, 9, 12), (31, 30, 1, 2)])
@pytest.mark.parametrize("mirrored", [False, True])
def test_crop_is_torchvisions(box: tuple[int, int, int, int], size: int, mirrored: bool) -> None:
    images = pictures(4)
    wanted = replace(untouched(4), boxes=torch.tensor([box] * 4), mirrored=torch.full((4,), mirrored))
    got = render_views(images, wanted, size=size, **PLAIN)
    expected = tv.resized_crop(images.float() / 255, *box, [size, size], antialias=True)
    expected = tv.horizontal_flip(expected) if mirrored else expected
    torch.testing.assert_close(got, expected, atol=2e-5, rtol=0)


def test_crop_agrees_with_pillow_to_one_grey_level() -> None:
    images = pictures(1)
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy()).crop((5, 3, 25, 28))
    for size in (16, 24, 32):
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        wanted = replace(untouched(1), boxes=torch.tensor([[3, 5, 25, 20]]))
        got = 255 * render_views(images, wanted, size=size, **PLAIN)[0].permute(1, 2, 0).numpy()
        assert np.abs(got - expected).max() < 1.001  # Pillow rounds in between


@pytest.mark.parametrize(
    ("which", "value", "operation"),
    [
        (0, 0.6, tv.adjust_brightness),
        (0, 1.4, tv.adjust_brightness),
        (1, 0.6, tv.adjust_contrast),
        (1, 1.4, tv.adjust_contrast),
        (2, 0.0, tv.adjust_saturation),
        (2, 1.4, tv.adjust_saturation),
        (3, -0.5, tv.adjust_hue),
        (3, -0.1, tv.adjust_hue),
        (3, 0.07, tv.adjust_hue),
    ],
)
def test_each_adjustment_is_torchvisions(
    which: int, value: float, operation: Callable[[Tensor, float], Tensor]
) -> None:
    images = pictures(4)
    wanted = replace(untouched(4), jittered=torch.ones(4, dtype=torch.bool))
    wanted.factors[:, which] = value
    got = render_views(images, wanted, size=32, **PLAIN)
    torch.testing.assert_close(got, operation(images.float() / 255, value), atol=1e-5, rtol=0)


def test_adjustments_come_in_the_given_order_with_a_clamp_after_each() -> None:
    images, factors = pictures(1), (1.4, 0.6, 1.3, 0.08)
    operations = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]):
        expected = images.float() / 255
        for which in order:
            expected = operations[which](expected, factors[which])
        wanted = replace(
            untouched(1),
            jittered=torch.tensor([True]),
            factors=torch.tensor([factors]),
            order=torch.tensor([order]),
        )
        got = render_views(images, wanted, size=32, **PLAIN)
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_grey_is_torchvisions() -> None:
    images = pictures(4)
    wanted = replace(untouched(4), grey=torch.ones(4, dtype=torch.bool))
    expected = tv.rgb_to_grayscale(images.float() / 255, num_output_channels=3)
    torch.testing.assert_close(render_views(images, wanted, size=32, **PLAIN), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("size", "taps"), [(32, 3), (64, 7)])
def test_blur_is_torchvisions(size: int, taps: int) -> None:
    images = pictures(3, size, size)
    sigma = torch.tensor([0.1, 0.8, 2.0])
    got = render_views(images, replace(untouched(3, size, size), sigma=sigma), size=size, **PLAIN)
    for image, blurred, width in zip(images, got, sigma.tolist(), strict=True):
        expected = tv.gaussian_blur(image.float() / 255, [taps, taps], [width])
        torch.testing.assert_close(blurred, expected, atol=1e-5, rtol=0)
