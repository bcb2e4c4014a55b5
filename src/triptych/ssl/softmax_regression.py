"""Multinomial logistic regression by full-batch L-BFGS: the optimum of a convex problem.

The penalty is that of a weight decay in SGD: weight_decay / 2 times the sum of the squared weights for
standardised features is added to the mean cross-entropy. The bias is not penalised.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_ITERATIONS = 300
TOLERANCE = 1e-5  # largest gradient at the optimum, in coordinates with a curvature of about 1


@dataclass(frozen=True)
class LinearClassifier:
    """Weights (C, D) and bias (C,) for features that are not standardised."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """(N, D) features -> (N, C) logits."""
        return F.linear(features, self.weight, self.bias)

    def layer(self) -> nn.Linear:
        """The classifier as a module."""
        classes, features = self.weight.shape
        layer = nn.Linear(features, classes)
        layer.load_state_dict({"weight": self.weight, "bias": self.bias})
        return layer


@dataclass(frozen=True)
class Solution:
    """An optimum: the classifier, its mean cross-entropy (nats) without penalty, and its cost."""

    classifier: LinearClassifier
    train_loss: float
    iterations: int


class SoftmaxRegression:
    """Labelled features (N, D), prepared once for fits with any number of weight decays.

    Features are standardised (a constant one is only centred) and rotated onto their principal axes. The
    rotation changes neither optimum nor penalty, but makes the curvature nearly diagonal, so that one factor
    per axis preconditions the problem: L-BFGS then needs tens of steps instead of hundreds. A class may have
    no examples.
    """

    def __init__(self, features: Tensor, labels: Tensor, num_classes: int) -> None:
        self.labels, self.num_classes = labels, num_classes
        self._mean = features.mean(dim=0)
        deviation = features.std(dim=0, correction=0)
        self._scale = torch.where(deviation > 1e-6 * deviation.max(), deviation, 1.0)
        standardised = (features - self._mean) / self._scale
        covariance = (standardised.T @ standardised).double() / len(features)
        variances, axes = torch.linalg.eigh(covariance)
        self._variances, self._axes = variances.clamp_min(0).float(), axes.float()
        self._rotated = standardised @ self._axes

    def fit(self, weight_decay: float, start: LinearClassifier | None = None) -> Solution:
        """The optimum for one weight decay (above 0), starting from `start` or from zero."""
        uniform = 1 / self.num_classes
        curvature = uniform * (1 - uniform)  # curvature of the softmax at equal probabilities
        condition = (curvature * self._variances + weight_decay).rsqrt()
        weight = torch.zeros(self.num_classes, len(condition), device=condition.device)
        bias = torch.zeros(self.num_classes, device=condition.device)
        if start is not None:
            weight = (start.weight * self._scale) @ self._axes / condition
            bias = start.bias + start.weight @ self._mean
        weight, bias = weight.requires_grad_(), bias.requires_grad_()
        optimizer = torch.optim.LBFGS(
            [weight, bias],
            max_iter=MAX_ITERATIONS,
            tolerance_grad=TOLERANCE,
            tolerance_change=1e-9,
            history_size=20,
            line_search_fn="strong_wolfe",
        )

        def objective() -> Tensor:
            optimizer.zero_grad()
            rotated = weight * condition
            loss = F.cross_entropy(F.linear(self._rotated, rotated, bias), self.labels)
            penalised = loss + weight_decay / 2 * rotated.square().sum()
            penalised.backward()
            return penalised

        optimizer.step(objective)
        iterations = optimizer.state[weight]["n_iter"]
        with torch.no_grad():
            rotated = weight * condition
            loss = F.cross_entropy(F.linear(self._rotated, rotated, bias), self.labels)
            original = rotated @ self._axes.T / self._scale
            classifier = LinearClassifier(original, bias - original @ self._mean)
        return Solution(classifier, loss.item(), iterations)
