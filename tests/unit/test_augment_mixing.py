"""Properties of mixup, Cutout and CutMix."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.augment.mixing import cutmix, cutout, mix, mixup

SEEDS = st.integers(0, 9999)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int, height: int = 16, width: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Image i is the constant i + 1 and its label is i: pixels and labels tell where they came from."""
    images = torch.arange(1.0, n + 1).view(n, 1, 1, 1).expand(n, 3, height, width or height).clone()
    return images, torch.eye(n)


def clipped(side: int, length: int) -> float:
    """Mean number of pixels that a centred stretch of `side` pixels covers of a line of `length`."""
    starts = [centre - side // 2 for centre in range(length)]
    return sum(min(start + side, length) - max(start, 0) for start in starts) / length


@settings(max_examples=60)
@given(
    st.sampled_from(["mixup", "cutmix", "cutout", "none"]),
    st.integers(1, 20),
    st.floats(0.05, 3.0),
    st.floats(0, 1),
    SEEDS,
)
def test_label_mass_stays_one_and_shapes_stay(
    method: str, n: int, alpha: float, probability: float, seed: int
) -> None:
    images, targets = batch(n)
    setting = {"method": method, "alpha": alpha, "probability": probability, "size": 8}
    mixed, labels = mix(images, targets, setting, seeded(seed))
    assert mixed.shape == images.shape and mixed.dtype == labels.dtype == torch.float32
    assert mixed.isfinite().all()
    torch.testing.assert_close(labels.sum(1), torch.ones(n), rtol=0, atol=3e-7)
    assert (labels >= 0).all()


@given(st.sampled_from(["mixup", "cutmix"]), st.integers(2, 20), SEEDS)
def test_per_batch_all_images_share_one_weight(method: str, n: int, seed: int) -> None:
    setting = {"method": method, "alpha": 1.0, "probability": 1.0, "per_batch": True}
    _, labels = mix(*batch(n), setting, seeded(seed))
    own, other = labels.diagonal(), labels.sum(1) - labels.diagonal()
    torch.testing.assert_close(own, own[:1].expand(n))
    torch.testing.assert_close(other, 1 - own)
    assert (labels > 0).sum(0).max() <= 2  # a permutation: no image is mixed into two others


def test_per_batch_all_boxes_are_the_same() -> None:
    images, targets = batch(6)
    mixed, _ = cutmix(images, targets, alpha=1.0, probability=1.0, per_batch=True, generator=seeded(3))
    pasted = mixed[:, 0] != images[:, 0]
    assert pasted[0].any() and (pasted == pasted[0]).all()


@settings(max_examples=60)
@given(st.integers(2, 12), st.integers(3, 21), st.integers(3, 21), st.floats(0.1, 3.0), SEEDS)
def test_cutmix_takes_pixels_from_two_images_and_weighs_labels_by_the_true_area(
    n: int, height: int, width: int, alpha: float, seed: int
) -> None:
    images, targets = batch(n, height, width)
    mixed, labels = cutmix(images, targets, alpha=alpha, probability=1.0, generator=seeded(seed))
    for i in range(n):
        sources, counts = mixed[i, 0].unique(return_counts=True)
        assert len(sources) <= 2  # a box of no pixels leaves the image alone
        expected = torch.zeros(n)
        expected[(sources - 1).long()] = counts / (height * width)
        torch.testing.assert_close(labels[i], expected, rtol=0, atol=1e-6)
        pasted = (mixed[i, 0] != i + 1).nonzero()
        if len(pasted):  # they fill a rectangle
            sides = pasted.amax(0) - pasted.amin(0) + 1
            assert sides.prod() == len(pasted)


@settings(max_examples=60)
@given(st.integers(2, 12), st.floats(0.1, 3.0), SEEDS)
def test_mixup_blends_two_images_and_their_labels_with_the_same_weight(
    n: int, alpha: float, seed: int
) -> None:
    images, targets = batch(n)
    mixed, labels = mixup(images, targets, alpha=alpha, probability=1.0, generator=seeded(seed))
    blended = labels @ torch.arange(1.0, n + 1)
    torch.testing.assert_close(mixed, blended.view(n, 1, 1, 1).expand_as(mixed))
    assert ((labels > 0).sum(1) <= 2).all()


@settings(max_examples=40)
@given(st.sampled_from([mixup, cutmix]), st.integers(2, 40), SEEDS)
def test_nobody_is_mixed_with_itself_and_everybody_gives_once(method: Any, n: int, seed: int) -> None:
    images, targets = batch(n, 64)
    _, labels = method(images, targets, alpha=50.0, probability=1.0, generator=seeded(seed))
    foreign = labels * (1 - torch.eye(n)) > 0  # at this alpha every weight is between 0 and 1
    assert torch.equal(foreign.sum(0), torch.ones(n, dtype=torch.int64))
    assert torch.equal(foreign.sum(1), torch.ones(n, dtype=torch.int64))


@pytest.mark.parametrize("alpha", [0.2, 0.4, 1.0, 4.0])
def test_mixup_weights_follow_beta_for_each_sample(alpha: float) -> None:
    from scipy import stats

    n = 4000
    kinds = torch.arange(n) % 2
    images = torch.eye(2)[kinds].view(n, 2, 1, 1)
    mixed, _ = mixup(images, torch.eye(2)[kinds], alpha=alpha, probability=1.0, generator=seeded(1))
    own = mixed.gather(1, kinds.view(n, 1, 1, 1)).flatten()
    weights = own[own < 1].double().numpy()  # partners of the other kind tell the weight
    assert abs(len(weights) - n / 2) < 5 * n**0.5
    assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 0.001


def test_weights_and_boxes_are_drawn_for_each_sample() -> None:
    images, targets = batch(40)
    for method in (mixup, cutmix):
        _, labels = method(images, targets, alpha=1.0, probability=1.0, generator=seeded())
        assert len({round(value, 5) for value in labels.diag().tolist()}) > 20


def test_cutmix_has_the_expected_area() -> None:
    """A box of share s is cut to whole pixels, put on a uniform centre and clipped by the border."""
    n, size = 40_000, 12
    images, targets = torch.zeros(n, 1, size, size), torch.zeros(n, 2)
    targets[torch.arange(n), torch.arange(n) % 2] = 1
    shares = torch.arange(5e-4, 1.0, 1e-3)  # alpha 1: uniform
    sides = (shares.sqrt() * size).long().tolist()
    expected = sum((clipped(side, size) / size) ** 2 for side in sides) / len(sides)
    _, labels = cutmix(images, targets, alpha=1.0, probability=1.0, generator=seeded())
    other = labels.gather(1, ((torch.arange(n) + 1) % 2).unsqueeze(1))
    # Half of the partners have the same label: their boxes do not show.
    assert abs(2 * other.mean().item() - expected) < 0.01


@settings(max_examples=60)
@given(st.integers(1, 20), st.integers(4, 17), st.integers(4, 17), SEEDS)
def test_cutouts_hole_is_a_centred_square_of_the_size_asked_for_clipped_by_the_border(
    size: int, height: int, width: int, seed: int
) -> None:
    images, targets = batch(20, height, width)
    holed, labels = cutout(images, targets, size=size, probability=1.0, generator=seeded(seed))
    assert torch.equal(labels, targets)
    for before, after in zip(images, holed, strict=True):
        hole = (after[0] == 0).nonzero()
        assert len(hole) > 0  # its centre is inside
        (top, left), (bottom, right) = hole.amin(0).tolist(), hole.amax(0).tolist()
        assert (bottom - top + 1) * (right - left + 1) == len(hole)
        for first, last, length in ((top, bottom, height), (left, right, width)):
            touches = first == 0 or last == length - 1
            side = last - first + 1
            assert side in (size, length) or (touches and size // 2 <= side <= size)
        assert torch.equal(after == 0, (after == 0) & (before != 0))
        assert torch.equal(after[after != 0], before[after != 0])


@pytest.mark.parametrize("size", [7, 8])
def test_cutouts_area_is_exact_inside_and_as_expected_on_average(size: int) -> None:
    n = 4000
    images, targets = torch.ones(n, 1, 16, 16), torch.zeros(n, 1)
    holed, _ = cutout(images, targets, size=size, probability=1.0, generator=seeded())
    areas = (holed[:, 0] == 0).sum(dim=(1, 2))
    inside = (holed[:, 0, [0, -1]] != 0).all(dim=(1, 2)) & (holed[:, 0, :, [0, -1]] != 0).all(dim=(1, 2))
    assert inside.any() and (areas[inside] == size * size).all()
    assert (areas < size * size).any()  # some holes cross the border
    expected = clipped(size, 16) ** 2
    assert abs(areas.float().mean().item() - expected) < 4 * areas.float().std().item() / n**0.5


@pytest.mark.parametrize("method", ["mixup", "cutmix", "cutout"])
def test_probability_is_the_share_of_images_that_are_touched(method: str) -> None:
    n = 2000
    images, targets = batch(n, 8)
    for probability in (0.0, 0.3, 1.0):
        setting = {"method": method, "alpha": 50.0, "size": 4, "probability": probability}
        mixed, labels = mix(images, targets, setting, seeded())
        touched = (mixed != images).flatten(1).any(1)
        assert abs(touched.float().mean().item() - probability) < 0.05
        untouched = ~touched
        assert torch.equal(mixed[untouched], images[untouched])
        assert torch.equal(labels[untouched], targets[untouched])  # to the bit


@pytest.mark.parametrize("method", ["mixup", "cutmix", "cutout"])
def test_the_generator_decides_everything(method: str) -> None:
    images, targets = batch(9)
    setting = {"method": method, "alpha": 0.4, "size": 8, "probability": 0.5}
    first, again, other = (mix(images, targets, setting, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize("method", ["mixup", "cutmix", "cutout"])
def test_images_stay_in_their_order_in_memory(method: str) -> None:
    images, targets = batch(9)
    setting = {"method": method, "alpha": 0.4, "size": 8, "probability": 1.0}
    last = images.contiguous(memory_format=torch.channels_last)
    mixed, _ = mix(last, targets, setting, seeded())
    assert mixed.is_contiguous(memory_format=torch.channels_last)
    plain, _ = mix(images, targets, setting, seeded())
    assert plain.is_contiguous() and torch.equal(mixed, plain)
