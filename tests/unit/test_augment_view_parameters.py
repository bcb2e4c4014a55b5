"""What is drawn for a view, against what torchvision's classes draw."""

import numpy as np
import pytest
import torch
from scipy.stats import chi2_contingency, ks_2samp
from test_augment_views import VIEWS, seeded
from torchvision.transforms import (
    ColorJitter,
    GaussianBlur,
    RandomApply,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomResizedCrop,
)

from triptych.augment.views import BLUR, Parameters, draw_parameters

LIKELY = 1e-3  # a p-value above this does not tell two samples apart


DRAWS = 3000


@pytest.fixture(scope="module")
def drawn() -> Parameters:
    return draw_parameters(DRAWS, 32, 32, VIEWS, seeded(1))


def assert_alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Two-sample Kolmogorov-Smirnov test."""
    assert ks_2samp(ours, theirs).pvalue > LIKELY


@pytest.mark.parametrize(
    ("sides", "scale"), [((32, 32), (0.08, 1.0)), ((32, 32), (0.5, 1.0)), ((24, 40), (0.08, 1.0))]
)
def test_crops_vary_as_torchvisions(sides: tuple[int, int], scale: tuple[float, float]) -> None:
    ours = draw_parameters(DRAWS, *sides, VIEWS | {"crop_scale": scale}, seeded()).boxes.numpy()
    torch.manual_seed(0)
    image = torch.zeros(3, *sides)
    ratio = [3 / 4, 4 / 3]
    theirs = np.array([RandomResizedCrop.get_params(image, list(scale), ratio) for _ in range(DRAWS)])
    assert (ours[:, :2] >= 0).all() and (ours[:, :2] + ours[:, 2:] <= sides).all()
    for statistic in (
        lambda box: box[:, 0],
        lambda box: box[:, 1],
        lambda box: box[:, 2] * box[:, 3],
        lambda box: box[:, 3] / box[:, 2],
        lambda box: box[:, 0] + box[:, 2] / 2,
        lambda box: box[:, 1] + box[:, 3] / 2,
    ):
        assert_alike(statistic(ours), statistic(theirs))


@pytest.mark.parametrize("sides", [(12, 60), (60, 12), (32, 32)])
def test_crops_that_cannot_be_drawn_are_torchvisions_central_ones(sides: tuple[int, int]) -> None:
    image = torch.zeros(3, *sides)
    expected = RandomResizedCrop.get_params(image, [4.0, 4.0], [3 / 4, 4 / 3])
    boxes = draw_parameters(3, *sides, VIEWS | {"crop_scale": [4.0, 4.0]}, seeded()).boxes
    assert boxes.tolist() == [list(expected)] * 3


def test_jitter_varies_as_torchvisions(drawn: Parameters) -> None:
    torch.manual_seed(0)
    jitter = ColorJitter(*VIEWS["jitter"])
    theirs = [
        jitter.get_params(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue)
        for _ in range(DRAWS)
    ]
    for which in range(4):
        assert_alike(drawn.factors[:, which].numpy(), np.array([draw[1 + which] for draw in theirs]))
    code = torch.tensor([64, 16, 4, 1])
    orders = [drawn.order @ code, torch.stack([draw[0] for draw in theirs]) @ code]
    kinds = torch.cat(orders).unique()
    assert len(kinds) == 24
    table = [[int((order == kind).sum()) for kind in kinds] for order in orders]
    assert chi2_contingency(table).pvalue > LIKELY


def test_strong_jitter_has_no_negative_factors_and_torchvisions_spread() -> None:
    strength = [1.6, 1.6, 1.6, 0.5]
    ours = draw_parameters(DRAWS, 32, 32, VIEWS | {"jitter": strength}, seeded()).factors
    low, high = ColorJitter(*strength).brightness
    assert_alike(ours[:, 0].numpy(), np.random.default_rng(0).uniform(low, high, DRAWS))


def test_shares_are_torchvisions(drawn: Parameters) -> None:
    torch.manual_seed(0)
    image = torch.rand(3, 2, 2)
    for ours, transform in (
        (drawn.mirrored, RandomHorizontalFlip()),
        (drawn.jittered, RandomApply([torch.neg], p=VIEWS["jitter_probability"])),
        (drawn.grey, RandomGrayscale(VIEWS["grayscale_probability"])),
        (drawn.sigma > 0, RandomApply([torch.neg], p=VIEWS["blur_probability"])),
    ):
        theirs = sum(not torch.equal(transform(image), image) for _ in range(DRAWS))
        table = [[int(ours.sum()), int((~ours).sum())], [theirs, DRAWS - theirs]]
        assert chi2_contingency(table).pvalue > LIKELY


def test_blur_varies_as_torchvisions(drawn: Parameters) -> None:
    torch.manual_seed(0)
    sigma = drawn.sigma[drawn.sigma > 0].numpy()
    assert_alike(sigma, np.array([GaussianBlur.get_params(*BLUR) for _ in range(DRAWS)]))


def test_factors_are_drawn_independently(drawn: Parameters) -> None:
    columns = [drawn.boxes[:, 2] * drawn.boxes[:, 3], drawn.mirrored, drawn.jittered, drawn.grey]
    columns += [*drawn.factors.T, drawn.order[:, 0], drawn.sigma]
    table = torch.stack([column.double() for column in columns])
    correlation = torch.corrcoef(table) - torch.eye(len(columns))
    assert correlation.abs().max() < 4.5 / DRAWS**0.5
