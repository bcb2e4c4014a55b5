"""Loss and errors of a classifier under the evaluation transform: normalisation and nothing else."""

import torch
import torch.nn.functional as F
from torch import nn

from triptych.data.device import DeviceImages
from triptych.run.devices import autocast

BATCH = 500


@torch.no_grad()
def evaluate(model: nn.Module, images: DeviceImages, *, precision: str, prefix: str = "") -> dict[str, float]:
    """Mean cross-entropy (nats), top-1 and top-5 error (percent) over all images.

    The model must be in eval mode. With fewer than five classes, top-5 takes them all.

    Returns:
        `loss`, `top1_error` and `top5_error`, each name after `prefix`.
    """
    loss, wrong1, wrong5 = 0.0, 0, 0
    for indices in torch.arange(len(images)).split(BATCH):
        with autocast(images.device, precision):
            logits = model(images.normalise(images.pixels(indices))).float()
        labels = images.labels[indices.to(images.device)]
        loss += F.cross_entropy(logits, labels, reduction="sum").item()
        ranked = logits.topk(min(5, logits.shape[1]), dim=1).indices == labels.unsqueeze(1)
        wrong1 += int((~ranked[:, 0]).sum())
        wrong5 += int((~ranked.any(dim=1)).sum())
    total = len(images)
    return {
        f"{prefix}loss": loss / total,
        f"{prefix}top1_error": 100 * wrong1 / total,
        f"{prefix}top5_error": 100 * wrong5 / total,
    }
