"""Loss and top-k accuracy of a classifier, without augmentation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.data.device import DeviceImages
from triptych.workflow.devices import autocast


def top_classes(scores: Tensor) -> Tensor:
    """(N, C) scores -> (N, 5) int64, the classes with the largest scores, best first; (N, C) if C < 5."""
    return scores.topk(min(5, scores.shape[1]), dim=1).indices


@torch.no_grad()
def accuracies(scores: Tensor, labels: Tensor, *, prefix: str = "") -> dict[str, float]:
    """`top1_accuracy` and `top5_accuracy`, after `prefix`, in percent, of (N, C) scores for (N,) labels."""
    correct = top_classes(scores) == labels.unsqueeze(1)
    return {
        f"{prefix}top1_accuracy": 100 * correct[:, 0].double().mean().item(),
        f"{prefix}top5_accuracy": 100 * correct.any(dim=1).double().mean().item(),
    }


MOST_CONFUSED = 20  # classes up to which a confusion matrix is kept and drawn


@torch.no_grad()
def class_results(predicted: Tensor, labels: Tensor, num_classes: int) -> dict[str, Any]:
    """Results by class of (N,) int64 predictions for (N,) int64 labels.

    Returns:
        `test_class_accuracies`: accuracy in percent of each class; None for a class without images.
        `test_balanced_accuracy`: their mean (Brodersen et al., The Balanced Accuracy and Its Posterior
            Distribution, 2010).
        `test_confusion`, for 20 classes at most: number of images by true class (rows) and predicted class.
    """
    pairs = torch.bincount(labels.cpu() * num_classes + predicted.cpu(), minlength=num_classes**2)
    confusion = pairs.view(num_classes, num_classes)
    shares = 100 * confusion.diagonal().double() / confusion.sum(dim=1)
    results: dict[str, Any] = {
        "test_class_accuracies": [None if math.isnan(share) else share for share in shares.tolist()],
        "test_balanced_accuracy": shares.nanmean().item(),
    }
    if num_classes <= MOST_CONFUSED:
        results["test_confusion"] = confusion.tolist()
    return results


def test_accuracies(scores: Tensor, labels: Tensor) -> dict[str, Any]:
    """`accuracies` and `class_results` of (N, C) float scores of the test images."""
    by_class = class_results(scores.argmax(dim=1), labels, scores.shape[1])
    return {**accuracies(scores, labels, prefix="test_"), **by_class}


@torch.no_grad()
def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy in nats of (N, C) logits."""
    return F.cross_entropy(logits.float(), labels).item()


def class_weights(kind: str | None, labels: Tensor, num_classes: int) -> Tensor | None:
    """Weights (num_classes,) of the classes in a loss, or None; their mean over the N images is 1.

    `balanced`: N / (C * n), where C classes have images and a class has n, so that every class has the same
    total weight.
    """
    if kind is None:
        return None
    counts = torch.bincount(labels, minlength=num_classes).float()
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1))


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier for N images."""

    loss: float  # mean cross-entropy, in nats
    top: Tensor  # (N, 5) int64, see `top_classes`
    labels: Tensor  # (N,) int64, the true classes

    @property
    def classes(self) -> NDArray[np.int64]:
        """(N,) the predicted class of each image."""
        return self.top[:, 0].numpy()

    def errors(self, prefix: str = "") -> dict[str, float]:
        """`loss`, `top1_error` and `top5_error` (percent), each name after `prefix`."""
        correct = self.top == self.labels.unsqueeze(1)
        return {
            f"{prefix}loss": self.loss,
            f"{prefix}top1_error": 100 * int((~correct[:, 0]).sum()) / len(correct),
            f"{prefix}top5_error": 100 * int((~correct.any(dim=1)).sum()) / len(correct),
        }

    def group_error(self, group_of_class: Sequence[int]) -> float:
        """Percentage of images whose predicted class is in another group than the true one."""
        group = torch.tensor(group_of_class)
        wrong = group[self.top[:, 0]] != group[self.labels]
        return 100 * int(wrong.sum()) / len(wrong)


@torch.no_grad()
def predict(model: nn.Module, images: DeviceImages, *, precision: str) -> Predictions:
    """Classify all images, each once; the model must be in eval mode."""
    loss, top = 0.0, []
    for indices in images.batches():
        with autocast(images.device, precision):
            logits = model(images.normalise(images.centres(indices))).float()
        labels = images.labels[indices.to(images.device)]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        top.append(top_classes(logits).cpu())
    return Predictions(loss / len(images), torch.cat(top), images.labels.cpu())


def evaluate(model: nn.Module, images: DeviceImages, *, precision: str, prefix: str = "") -> dict[str, float]:
    """Loss and errors (see `Predictions.errors`) of a model in eval mode."""
    return predict(model, images, precision=precision).errors(prefix)
