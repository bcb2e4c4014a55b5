"""Is a pretraining learning anything? Nearest neighbours among training images, and two warnings."""

import logging
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from triptych.data.device import DeviceImages
from triptych.data.splits import stratified_split
from triptych.ssl.encoding import encode, feature_spread
from triptych.ssl.knn import knn_accuracy
from triptych.workflow.seeds import derive_seed

log = logging.getLogger("triptych")

COLLAPSED = 0.02  # spread of the features; encoders that learn, and random ones, are above 0.2
CHANCE = 0.99  # fraction of the loss without any information above which nothing has been learnt


class KnnMonitor:
    """Accuracy of nearest neighbours while an encoder is being trained; cheap, and without test images.

    Some training images are the bank, others the queries: two stratified draws, the same in every call. If
    there are too few images, a fifth of them are queries.

    Args:
        images: training images; only this monitor reads their labels.
        encoder: on the images' device.
        precision: see `autocast`.
        bank_size: images that vote.
        query_size: images that are classified; the accuracy has a standard error of about 1.4 points for
            1,000 of them.
        seed: of the draws.
        k: neighbours; 20 of a bank of 5,000 for the customary 200 of 50,000.
        temperature: see `knn_scores`.

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


class Monitor:
    """Warns when a contrastive pretraining has collapsed or does not get below the loss of chance.

    Args:
        images, encoder: see `KnnMonitor`.
        recipe: `precision`, `batch_size`, `accumulate`, `views.count` and `decoupled`.
        label: names the run in warnings.
    """

    def __init__(
        self, images: DeviceImages, encoder: nn.Module, recipe: Mapping[str, Any], *, label: str
    ) -> None:
        self.knn, self.label = KnnMonitor(images, encoder, precision=recipe["precision"]), label
        micro_batch = recipe["batch_size"] // recipe["accumulate"]  # images that are compared
        candidates = recipe["views"]["count"] * (micro_batch - 1) + (0 if recipe["decoupled"] else 1)
        self.chance = math.log(candidates)

    def check_loss(self, loss: float) -> None:
        """Warn if the mean loss of an epoch is that of chance: it shows long before the next `evaluate`."""
        if loss > CHANCE * self.chance:
            log.warning(
                "%s: the loss is %.3f, that of an encoder that cannot tell images apart (%.3f)",
                self.label,
                loss,
                self.chance,
            )

    def evaluate(self) -> dict[str, float]:
        """The numbers of the `KnnMonitor`, with a warning if the features have collapsed."""
        found = self.knn()
        if found["feature_std"] < COLLAPSED:
            log.warning(
                "%s: the features have collapsed (spread %.3f); lower learning_rate",
                self.label,
                found["feature_std"],
            )
        return found
