"""NT-Xent against an independent, slow form."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from triptych.ssl.nt_xent import nt_xent


def nt_xent_by_hand(z: np.ndarray, temperature: float) -> float:
    """The report's formula, written with loops, averaged over the 2N views."""
    views = len(z)
    total = 0.0
    for i in range(views):
        partner = (i + views // 2) % views
        similar = [z[i] @ z[k] / np.linalg.norm(z[i]) / np.linalg.norm(z[k]) for k in range(views)]
        denominator = sum(math.exp(similar[k] / temperature) for k in range(views) if k != i)
        total -= math.log(math.exp(similar[partner] / temperature) / denominator)
    return total / views


@settings(max_examples=25)
@given(st.integers(2, 6), st.integers(2, 9), st.floats(0.1, 2.0), st.integers(0, 1000))
def test_nt_xent_equals_the_reports_formula(pairs: int, dim: int, temperature: float, seed: int) -> None:
    z = np.random.default_rng(seed).normal(size=(2 * pairs, dim))
    got = nt_xent(torch.from_numpy(z), temperature).item()
    assert math.isclose(got, nt_xent_by_hand(z, temperature), rel_tol=1e-4, abs_tol=1e-5)


def contrastive_by_hand(z: np.ndarray, temperature: float, views: int, decoupled: bool) -> float:
    """Every view with each of its partners, against all views of other images; written with loops."""
    images = len(z) // views
    unit = z / np.linalg.norm(z, axis=1, keepdims=True)
    weight = np.exp(unit @ unit.T / temperature)
    terms = []
    for i in range(len(z)):
        others = sum(weight[i, k] for k in range(len(z)) if k % images != i % images)
        partners = weight[i, [k for k in range(i % images, len(z), images) if k != i]]
        terms.extend(-np.log(partners / (others + (0 if decoupled else partners))))
    return float(np.mean(terms))


@settings(max_examples=25)
@given(st.integers(2, 5), st.integers(2, 4), st.floats(0.1, 2.0), st.booleans(), st.integers(0, 1000))
def test_more_views_and_decoupling_equal_the_sums_written_out(
    images: int, views: int, temperature: float, decoupled: bool, seed: int
) -> None:
    z = np.random.default_rng(seed).normal(size=(views * images, 5))
    got = nt_xent(torch.from_numpy(z), temperature, views=views, decoupled=decoupled).item()
    expected = contrastive_by_hand(z, temperature, views, decoupled)
    assert math.isclose(got, expected, rel_tol=1e-4, abs_tol=1e-5)


@pytest.mark.parametrize("decoupled", [False, True])
def test_gradients_of_the_loss_are_those_of_its_values(decoupled: bool) -> None:
    z = torch.randn(9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(z: torch.Tensor) -> torch.Tensor:
        return nt_xent(z, 0.5, views=3, decoupled=decoupled)

    torch.autograd.gradcheck(loss, z.requires_grad_(), eps=1e-3, atol=1e-3)


def test_nt_xent_of_identical_projections_is_the_log_of_the_candidates() -> None:
    assert math.isclose(nt_xent(torch.ones(10, 4), 0.5).item(), math.log(9), rel_tol=1e-6)


def test_autocast_does_not_round_the_loss() -> None:
    z = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = nt_xent(z, 0.1)
    assert torch.equal(rounded, nt_xent(z, 0.1))


def test_nt_xent_ignores_the_length_of_the_projections() -> None:
    z = torch.randn(12, 8, generator=torch.Generator().manual_seed(0))
    scale = torch.rand(12, 1, generator=torch.Generator().manual_seed(1)) + 0.5
    torch.testing.assert_close(nt_xent(z, 0.5), nt_xent(z * scale, 0.5))
