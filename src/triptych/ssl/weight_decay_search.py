"""Choice of a linear classifier's weight decay, on held-out examples or by cross-validation."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from triptych.experiments.evaluation import accuracies, cross_entropy
from triptych.ssl.features import LabelledFeatures
from triptych.ssl.softmax_regression import LinearClassifier, SoftmaxRegression
from triptych.workflow.seeds import numpy_generator

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Trial:
    """The fit for one weight decay, and its result on held-out examples (percent, nats)."""

    weight_decay: float
    validation_top1_accuracy: float
    validation_loss: float
    train_loss: float
    iterations: int


@dataclass(frozen=True)
class Search:
    """All trials from the largest weight decay to the smallest, the best of them, and its classifier.

    `held_out` is the number of examples on which each trial is judged.
    """

    path: list[Trial]
    best: Trial
    start: LinearClassifier | None
    held_out: int

    @property
    def at_end_of_grid(self) -> bool:
        """Whether a weight decay beyond the grid may be better.

        It may be if the best is at an end and exceeds all between by more than a standard error.
        """
        if len(self.path) == 1 or self.best not in (self.path[0], self.path[-1]):
            return False
        share = self.best.validation_top1_accuracy / 100
        error = 100 * (share * (1 - share) / self.held_out) ** 0.5
        between = [trial.validation_top1_accuracy for trial in self.path[1:-1]]
        return not between or self.best.validation_top1_accuracy - max(between) > error

    def record(self) -> dict[str, Any]:
        """For `metrics.json`."""
        return {
            "validation_top1_accuracy": self.best.validation_top1_accuracy,
            "weight_decay": self.best.weight_decay,
            "at_end_of_grid": self.at_end_of_grid,
            "path": [asdict(trial) for trial in self.path],
        }


def warn_at_end_of_grid(search: Search, label: str) -> None:
    """Warn if the best weight decay may lie beyond the grid."""
    if search.at_end_of_grid:
        log.warning(
            "%s: the best weight decay, %.2e, is at the end of the grid; widen weight_decays in the config",
            label,
            search.best.weight_decay,
        )


def weight_decay_grid(grid: Mapping[str, Any]) -> list[float]:
    """`count` values evenly spaced in their logarithms, from `max` down to `min`."""
    return [float(value) for value in np.geomspace(grid["max"], grid["min"], grid["count"])]


def search_held_out(
    train: LabelledFeatures, held_out: LabelledFeatures, num_classes: int, weight_decays: Sequence[float]
) -> Search:
    """Fit every weight decay, each from the previous solution, and choose the most accurate on `held_out`.

    Of equal accuracies the one with the lower loss is chosen.
    """
    problem = SoftmaxRegression(train.features, train.labels, num_classes)
    path: list[Trial] = []
    classifiers: list[LinearClassifier] = []
    for weight_decay in weight_decays:
        solution = problem.fit(weight_decay, classifiers[-1] if classifiers else None)
        logits = solution.classifier(held_out.features)
        path.append(
            Trial(
                weight_decay,
                accuracies(logits, held_out.labels)["top1_accuracy"],
                cross_entropy(logits, held_out.labels),
                solution.train_loss,
                solution.iterations,
            )
        )
        classifiers.append(solution.classifier)
        log.info(
            "weight decay %.2e: %.2f %% of held-out examples correct, %d iterations",
            weight_decay,
            path[-1].validation_top1_accuracy,
            solution.iterations,
        )
    best = _best(path)
    return Search(path, best, classifiers[path.index(best)], len(held_out.labels))


def search_folds(
    examples: LabelledFeatures, num_classes: int, weight_decays: Sequence[float], *, folds: int, seed: int
) -> Search:
    """Choose by cross-validation, stratified by class; a trial's numbers are means over all examples."""
    searches, sizes = [], []
    for fold in _stratified_folds(examples.labels.numpy(), folds, seed):
        rest = np.setdiff1d(np.arange(len(examples.labels)), fold)
        train, held_out = (examples.select(torch.from_numpy(indices)) for indices in (rest, fold))
        searches.append(search_held_out(train, held_out, num_classes, weight_decays))
        sizes.append(len(fold))
    path = [
        Trial(
            trials[0].weight_decay,
            float(np.average([trial.validation_top1_accuracy for trial in trials], weights=sizes)),
            float(np.average([trial.validation_loss for trial in trials], weights=sizes)),
            float(np.mean([trial.train_loss for trial in trials])),
            sum(trial.iterations for trial in trials),
        )
        for trials in zip(*(search.path for search in searches), strict=True)
    ]
    return Search(path, _best(path), None, len(examples.labels))


def _best(path: Sequence[Trial]) -> Trial:
    return max(path, key=lambda trial: (trial.validation_top1_accuracy, -trial.validation_loss))


def _stratified_folds(labels: np.ndarray, folds: int, seed: int) -> list[np.ndarray]:
    """Indices of each fold: a seeded order, every class distributed over the folds in turn."""
    order = numpy_generator("folds", seed).permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    return [np.sort(by_class[fold::folds]) for fold in range(folds)]
