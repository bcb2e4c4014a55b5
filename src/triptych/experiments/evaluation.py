"""Loss and top-k accuracy of a classifier, without augmentation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.data.device import DeviceImages
from triptych.workflow.devices import autocast

BATCH = 500


def top_classes(scores: Tensor) -> Tensor:
    """(N, C) scores -> (N, 5) int64, the classes with the largest scores, best first; (N, C) if C < 5."""
    return scores.topk(min(5, scores.shape[1]), dim=1).indices


@torch.no_grad()
def accuracies(scores: Tensor, labels: Tensor, *, prefix: str = "") -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent of (N, C) float scores for (N,) int64 labels.

    Returns:
        `top1_accuracy` and `top5_accuracy`, each name after `prefix`.
    """
    correct = top_classes(scores) == labels.unsqueeze(1)
    return {
        f"{prefix}top1_accuracy": 100 * correct[:, 0].double().mean().item(),
        f"{prefix}top5_accuracy": 100 * correct.any(dim=1).double().mean().item(),
    }


@torch.no_grad()
def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy in nats of (N, C) logits."""
    return F.cross_entropy(logits.float(), labels).item()


@dataclass(frozen=True)
class Predictions:
    """Predictions of a classifier for N images.

    Attributes:
        loss: mean cross-entropy, in nats.
        top: (N, 5) int64, see `top_classes`.
        labels: (N,) int64, the true classes.
    """

    loss: float
    top: Tensor
    labels: Tensor

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
    for indices in torch.arange(len(images)).split(BATCH):
        with autocast(images.device, precision):
            logits = model(images.normalise(images.pixels(indices))).float()
        labels = images.labels[indices.to(images.device)]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        top.append(top_classes(logits).cpu())
    return Predictions(loss / len(images), torch.cat(top), images.labels.cpu())


def evaluate(model: nn.Module, images: DeviceImages, *, precision: str, prefix: str = "") -> dict[str, float]:
    """Loss and errors (see `Predictions.errors`) of a model in eval mode."""
    return predict(model, images, precision=precision).errors(prefix)
