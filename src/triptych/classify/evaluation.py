"""Loss and errors of a classifier under the evaluation transform: normalisation and nothing else."""

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


@dataclass(frozen=True)
class Answers:
    """What a classifier says about N images.

    Attributes:
        loss: mean cross-entropy, in nats.
        ranked: (N, 5) int64, the likeliest classes, best first; fewer columns where there are fewer.
        labels: (N,) int64, the right ones.
    """

    loss: float
    ranked: Tensor
    labels: Tensor

    @property
    def predictions(self) -> NDArray[np.int64]:
        """(N,) the likeliest class of each image."""
        return self.ranked[:, 0].numpy()

    def scores(self, prefix: str = "") -> dict[str, float]:
        """`loss`, `top1_error` and `top5_error` (percent), each name after `prefix`."""
        right = self.ranked == self.labels.unsqueeze(1)
        return {
            f"{prefix}loss": self.loss,
            f"{prefix}top1_error": 100 * int((~right[:, 0]).sum()) / len(right),
            f"{prefix}top5_error": 100 * int((~right.any(dim=1)).sum()) / len(right),
        }

    def group_error(self, group_of_class: Sequence[int]) -> float:
        """Images whose likeliest class is in another group than the right one, in percent."""
        group = torch.tensor(group_of_class)
        wrong = group[self.ranked[:, 0]] != group[self.labels]
        return 100 * int(wrong.sum()) / len(wrong)


@torch.no_grad()
def ask(model: nn.Module, images: DeviceImages, *, precision: str) -> Answers:
    """Classify all images, each once; the model must be in eval mode."""
    loss, ranked = 0.0, []
    for indices in torch.arange(len(images)).split(BATCH):
        with autocast(images.device, precision):
            logits = model(images.normalise(images.pixels(indices))).float()
        labels = images.labels[indices.to(images.device)]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        ranked.append(logits.topk(min(5, logits.shape[1]), dim=1).indices.cpu())
    return Answers(loss / len(images), torch.cat(ranked), images.labels.cpu())


def evaluate(model: nn.Module, images: DeviceImages, *, precision: str, prefix: str = "") -> dict[str, float]:
    """Mean cross-entropy, top-1 and top-5 error (percent) of a model in eval mode; see `Answers.scores`.

    With fewer than five classes, top-5 takes them all.
    """
    return ask(model, images, precision=precision).scores(prefix)
