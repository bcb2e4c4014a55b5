"""Accuracies and loss of scores for labelled examples."""

import torch
import torch.nn.functional as F
from torch import Tensor


@torch.no_grad()
def accuracies(scores: Tensor, labels: Tensor, *, prefix: str = "") -> dict[str, float]:
    """Top-1 and top-5 accuracy in percent.

    Args:
        scores: (N, C) float, the greatest is the guess; with fewer than five classes, top-5 takes them all.
        labels: (N,) int64.
        prefix: of the names.

    Returns:
        `top1_accuracy` and `top5_accuracy`, each name after `prefix`.
    """
    right = scores.topk(min(5, scores.shape[1]), dim=1).indices == labels.unsqueeze(1)
    return {
        f"{prefix}top1_accuracy": 100 * right[:, 0].double().mean().item(),
        f"{prefix}top5_accuracy": 100 * right.any(dim=1).double().mean().item(),
    }


@torch.no_grad()
def cross_entropy(logits: Tensor, labels: Tensor) -> float:
    """Mean cross-entropy in nats of (N, C) logits."""
    return F.cross_entropy(logits.float(), labels).item()
