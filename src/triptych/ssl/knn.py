"""k nearest neighbours on features: how good an encoder is, without training anything.

As in "Unsupervised Feature Learning via Non-Parametric Instance Discrimination" (Wu et al. 2018,
section 3.4), which set the custom of k = 200 neighbours by cosine similarity.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.data.device import DeviceImages
from triptych.data.splits import stratified_split
from triptych.ssl.encoding import encode
from triptych.workflow.seeds import derive_seed

BATCH = 1000  # queries at a time: against 50,000 features their similarities take 200 MB


@torch.no_grad()
def knn_scores(
    bank: Tensor, labels: Tensor, queries: Tensor, *, num_classes: int, k: int = 200, temperature: float = 0.1
) -> Tensor:
    """How much the nearest neighbours of each query speak for each class.

    Each of the k neighbours with the greatest cosine similarity s votes for its class with the weight
    exp(s / temperature). A smaller bank than k votes as a whole.

    Args:
        bank: (N, D) float, features with known labels.
        labels: (N,) int64, theirs, below `num_classes`.
        queries: (Q, D) float.
        num_classes: C.
        k: neighbours.
        temperature: the smaller, the more the very nearest decide.

    Returns:
        (Q, C) float32; the greatest of a row is 1 or more, the row's nearest neighbour weighing 1.
    """
    bank = F.normalize(bank.float(), dim=1)
    scores = []
    for batch in queries.split(BATCH):
        similarity = F.normalize(batch.float(), dim=1) @ bank.T
        nearest, neighbours = similarity.topk(min(k, len(bank)), dim=1)
        # Relative to the nearest, whose weight is 1: no temperature can over- or underflow them all.
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


def feature_spread(features: Tensor) -> float:
    """How far L2-normalised features (N, D) are from having collapsed into one direction.

    The standard deviation over the features, averaged over the dimensions, times sqrt(D): 0 when all
    are equal, 1 when their directions are spread evenly over the sphere ("Exploring Simple Siamese
    Representation Learning", Chen and He 2021, section 4.1). Features that passed a ReLU share the
    positive orthant and stay below 1.
    """
    directions = F.normalize(features.float(), dim=1)
    return math.sqrt(features.shape[1]) * directions.std(dim=0, correction=0).mean().item()


class KnnMonitor:
    """Accuracy of nearest neighbours while an encoder is being trained: cheap, and blind to the test set.

    Some training images are the bank, others the queries: two stratified draws that do not change
    from call to call, and take a fifth of the images as queries where there are too few.

    Args:
        images: training images with labels, which nothing but this monitor looks at.
        encoder: on the images' device; asked in eval mode and left in the mode in which it was.
        precision: see `autocast`.
        bank_size: images whose labels are known to the vote.
        query_size: images whose labels are guessed; their share of right guesses has a standard error
            of about 1.4 points for 1,000 of them.
        seed: of the draw.
        k: neighbours; against a bank of 5,000 as many as a tenth of 50,000's 200.
        temperature: of their weights.

    Example:
        monitor = KnnMonitor(images, encoder, precision="auto", seed=0)
        monitor()  # {"knn_accuracy": 57.1, "feature_std": 0.62}
    """

    def __init__(
        self,
        images: DeviceImages,
        encoder: nn.Module,
        *,
        precision: str,
        bank_size: int = 5000,
        query_size: int = 1000,
        seed: int = 0,
        k: int = 20,
        temperature: float = 0.1,
    ) -> None:
        self.images, self.encoder, self.precision = images, encoder, precision
        self.k, self.temperature = k, temperature
        labels = images.labels.cpu().numpy()
        rest, queries = stratified_split(
            labels, min(query_size, len(labels) // 5), derive_seed("knn queries", seed)
        )
        _, bank = stratified_split(labels[rest], min(bank_size, len(rest)), derive_seed("knn bank", seed))
        self.queries, self.bank = torch.from_numpy(queries), torch.from_numpy(rest[bank])

    def __call__(self) -> dict[str, float]:
        """`knn_accuracy` of the queries (percent) and `feature_std` of the bank (see `feature_spread`)."""
        bank, queries = (
            encode(self.encoder, self.images, precision=self.precision, indices=indices)
            for indices in (self.bank, self.queries)
        )
        bank_labels, query_labels = (
            self.images.labels[indices.to(self.images.device)] for indices in (self.bank, self.queries)
        )
        accuracy = knn_accuracy(
            bank, bank_labels, queries, query_labels, k=self.k, temperature=self.temperature
        )
        return {"knn_accuracy": accuracy, "feature_std": feature_spread(bank)}
