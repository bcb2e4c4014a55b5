"""Properties of mixup, Cutout and CutMix."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.nn.mixing import cutmix, cutout, mix, mixup

CLASSES = 7


def batch(n: int, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is the constant i + 1, so that every pixel tells where it came from."""
    images = torch.arange(1.0, n + 1).view(n, 1, 1, 1).expand(n, 3, size, size).clone()
    return images, torch.eye(CLASSES)[torch.arange(n) % CLASSES]


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["mixup", "cutmix", "cutout", "none"]),
    st.integers(2, 20),
    st.floats(0.1, 3.0),
    st.floats(0, 1),
    st.integers(0, 99),
)
def test_label_mass_stays_one(method: str, n: int, alpha: float, probability: float, seed: int) -> None:
    images, targets = batch(n)
    setting = {"method": method, "alpha": alpha, "probability": probability, "size": 8}
    mixed, labels = mix(images, targets, setting, torch.Generator().manual_seed(seed))
    assert mixed.shape == images.shape
    torch.testing.assert_close(labels.sum(1), torch.ones(n))
    assert (labels >= 0).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 12), st.floats(0.1, 3.0), st.integers(0, 999))
def test_cutmix_takes_pixels_from_two_images_and_weighs_labels_by_area(
    n: int, alpha: float, seed: int
) -> None:
    images, _ = batch(n)
    targets = torch.eye(n)
    mixed, labels = cutmix(
        images, targets, alpha=alpha, probability=1.0, generator=torch.Generator().manual_seed(seed)
    )
    for i in range(n):
        sources, counts = mixed[i, 0].unique(return_counts=True)
        assert len(sources) <= 2
        expected = torch.zeros(n)
        expected[(sources - 1).long()] = counts / counts.sum()
        torch.testing.assert_close(labels[i], expected)


def test_mixup_blends_images_and_labels_with_the_same_weight() -> None:
    n = 12
    images, _ = batch(n)
    mixed, labels = mixup(
        images, torch.eye(n), alpha=0.4, probability=1.0, generator=torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(mixed[:, 0, 0, 0], labels @ torch.arange(1.0, n + 1))
    assert ((labels > 0).sum(1) <= 2).all()
    assert len({round(row.max().item(), 4) for row in labels}) > 3  # weights differ between samples


def test_mixup_weights_follow_beta() -> None:
    n, alpha = 20_000, 0.4
    images = torch.zeros(n, 1, 1, 1)
    labels = torch.eye(2)[torch.arange(n) % 2]
    _, mixed = mixup(images, labels, alpha=alpha, probability=1.0, generator=torch.Generator().manual_seed(1))
    # Pairs with equal labels tell nothing about the weight and keep a whole label.
    weights = mixed[:, 0][(mixed[:, 0] > 0) & (mixed[:, 0] < 1)]
    assert abs(weights.mean().item() - 0.5) < 0.02
    assert abs(weights.var().item() - 1 / (4 * (2 * alpha + 1))) < 0.02  # of Beta(alpha, alpha)


def test_cutout_blanks_a_square_that_may_cross_the_border() -> None:
    n, size = 500, 8
    images, targets = batch(n)
    holed, labels = cutout(
        images, targets, size=size, probability=1.0, generator=torch.Generator().manual_seed(0)
    )
    areas = (holed[:, 0] == 0).sum(dim=(1, 2))
    assert torch.equal(labels, targets)
    assert areas.max() == size * size and areas.min() < size * size
    expected = (sum(min(c + 4, 16) - max(c - 4, 0) for c in range(16)) / 16) ** 2
    assert abs(areas.float().mean().item() - expected) < 2.0


def test_probability_zero_changes_nothing() -> None:
    images, targets = batch(9)
    for method in ("mixup", "cutmix", "cutout"):
        setting = {"method": method, "alpha": 0.4, "probability": 0.0, "size": 8}
        mixed, labels = mix(images, targets, setting, torch.Generator().manual_seed(0))
        assert torch.equal(mixed, images) and torch.equal(labels, targets)
