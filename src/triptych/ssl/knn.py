"""k nearest neighbours on features: how good an encoder is, without training anything.

As in "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (Wu et al. 2018,
section 3.4), from which the customary k = 200 neighbours by cosine similarity come.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

BATCH = 1000  # queries at a time: against 50,000 features their similarities take 200 MB


@torch.no_grad()
def knn_scores(
    bank: Tensor, labels: Tensor, queries: Tensor, *, num_classes: int, k: int = 200, temperature: float = 0.1
) -> Tensor:
    """Votes (Q, num_classes) of the nearest neighbours of queries (Q, D), relative to that of the nearest
    one.

    Each of the k neighbours with the greatest cosine similarity s votes for its class with weight exp(s /
    temperature). If the bank, (N, D) with labels (N,) int64, is smaller than k, all of it votes.
    """
    bank = F.normalize(bank.float(), dim=1)
    scores = []
    for batch in queries.split(BATCH):
        similarity = F.normalize(batch.float(), dim=1) @ bank.T
        nearest, neighbours = similarity.topk(min(k, len(bank)), dim=1)
        # Relative to the nearest, whose weight is 1: no temperature makes all of them over- or underflow.
        weights = ((nearest - nearest[:, :1]) / temperature).exp()
        votes = weights.new_zeros(len(batch), num_classes)
        scores.append(votes.scatter_add_(1, labels[neighbours], weights))
    return torch.cat(scores)


def knn_accuracy(
    train_features: Tensor,
    train_labels: Tensor,
    test_features: Tensor,
    test_labels: Tensor,
    *,
    k: int = 200,
    temperature: float = 0.1,
) -> float:
    """Top-1 accuracy (percent) of `knn_scores`; features (N, D) float, labels (N,) int64, on one device."""
    classes = 1 + int(train_labels.max())
    scores = knn_scores(
        train_features, train_labels, test_features, num_classes=classes, k=k, temperature=temperature
    )
    return 100 * (scores.argmax(dim=1) == test_labels).float().mean().item()
