"""Logistic regression by L-BFGS, against SciPy's minimiser on the same objective in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import log_softmax

from triptych.ssl.softmax_regression import LinearClassifier, SoftmaxRegression


def draw(count: int, dimensions: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Correlated features of very different scales, one of them constant; overlapping classes."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes, (count,), generator=generator)
    centres = torch.randn(classes, dimensions, generator=generator)
    noise = torch.randn(count, dimensions, generator=generator)
    features = (centres[labels] + 2 * noise) @ torch.randn(dimensions, dimensions, generator=generator)
    features = features * torch.logspace(-3, 2, dimensions) + 5
    features[:, 0] = 7.0
    return features, labels


def optimum(features: np.ndarray, labels: np.ndarray, classes: int, weight_decay: float) -> np.ndarray:
    """Logits at the optimum: plain gradient, plain standardisation, no rotation, float64."""
    scale = np.where(features.std(0) > 1e-9, features.std(0), 1)
    x = (features - features.mean(0)) / scale
    truth = np.eye(classes)[labels]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weight, bias = flat[:-classes].reshape(classes, -1), flat[-classes:]
        logp = log_softmax(x @ weight.T + bias, axis=1)
        error = (np.exp(logp) - truth) / len(x)
        gradient = error.T @ x + weight_decay * weight
        loss = -(truth * logp).sum() / len(x) + weight_decay / 2 * (weight**2).sum()
        return loss, np.concatenate([gradient.ravel(), error.sum(0)])

    found = minimize(
        objective,
        np.zeros(classes * (x.shape[1] + 1)),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 20_000, "maxfun": 40_000, "ftol": 1e-15, "gtol": 1e-9},
    )
    return x @ found.x[:-classes].reshape(classes, -1).T + found.x[-classes:]


@pytest.mark.parametrize("weight_decay", [1.0, 0.01, 0.0001])
def test_the_optimum_is_scipys(weight_decay: float) -> None:
    features, labels = draw(400, 12, 4)
    solution = SoftmaxRegression(features, labels, 4).fit(weight_decay)
    expected = optimum(features.double().numpy(), labels.numpy(), 4, weight_decay)
    found = solution.classifier(features).numpy()
    np.testing.assert_allclose(
        found - found.mean(1, keepdims=True), expected - expected.mean(1, keepdims=True), atol=0.01
    )
    log_likelihood = log_softmax(expected, axis=1)[np.arange(400), labels.numpy()].mean()
    assert solution.train_loss == pytest.approx(-log_likelihood, abs=1e-4)


@settings(max_examples=10)
@given(st.integers(0, 1000))
def test_where_it_starts_does_not_matter_and_a_good_start_is_shorter(seed: int) -> None:
    features, labels = draw(150, 6, 3, seed)
    problem = SoftmaxRegression(features, labels, 3)
    cold = problem.fit(0.01)
    strange = LinearClassifier(torch.randn(3, 6) / features.std(0).add(1), torch.randn(3))
    far = problem.fit(0.01, strange)
    again = problem.fit(0.01, cold.classifier)
    assert far.train_loss == pytest.approx(cold.train_loss, abs=1e-4)
    assert again.train_loss == pytest.approx(cold.train_loss, abs=1e-4)
    assert again.iterations <= cold.iterations


def test_more_features_than_examples_and_a_class_without_any() -> None:
    features, labels = draw(20, 40, 2)
    solution = SoftmaxRegression(features, labels, 3).fit(0.1)
    logits = solution.classifier(features)
    assert logits.isfinite().all() and (logits.argmax(1) == labels).all()


def test_the_same_data_give_the_same_bits() -> None:
    features, labels = draw(300, 10, 3)
    one, two = (SoftmaxRegression(features, labels, 3).fit(0.001).classifier for _ in range(2))
    assert torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)
