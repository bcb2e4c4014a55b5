"""Whether a pretraining learns: nearest neighbours among training images, and two warnings."""

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
from triptych.training.batches import batch_size
from triptych.workflow.seeds import derive_seed

log = logging.getLogger("triptych")

COLLAPSED = 0.02  # feature spread below this is a collapse; random and learning encoders are above 0.2
K = 20  # neighbours in a bank of 5,000, in proportion to the usual 200 in 50,000
CHANCE = 0.99  # above this fraction of the chance loss nothing has been learnt


class Monitor:
    """Accuracy of nearest neighbours during a pretraining, and warnings when it learns nothing.

    Some training images are the bank, others the queries: two stratified draws, the same in every call. If
    there are too few images, a fifth of them are queries. The standard error of the accuracy is about 1.4
    points for 1,000 queries. Test images are not used.

    Args:
        images: training images; only the monitor reads their labels.
        encoder: the encoder, on the images' device.
        recipe: `epochs`, `precision`, `batch_size`, `accumulate`, `gpus`, `views.count` and `decoupled`.
        label: names the run in warnings.
        bank_size, query_size: number of images that vote, and of images that are classified.

    Example:
        monitor = Monitor(images, encoder, recipe, label="simclr")
        monitor.evaluate()  # {"knn_accuracy": 57.1, "feature_std": 0.62}
    """

    def __init__(
        self,
        images: DeviceImages,
        encoder: nn.Module,
        recipe: Mapping[str, Any],
        *,
        label: str,
        bank_size: int = 5000,
        query_size: int = 1000,
    ) -> None:
        self.images, self.encoder, self.precision, self.label = images, encoder, recipe["precision"], label
        self.epochs = recipe["epochs"]
        labels = images.labels.cpu().numpy()
        rest, queries = stratified_split(
            labels, min(query_size, len(labels) // 5), derive_seed("knn queries", 0)
        )
        _, bank = stratified_split(labels[rest], min(bank_size, len(rest)), derive_seed("knn bank", 0))
        self.queries, self.bank = torch.from_numpy(queries), torch.from_numpy(rest[bank])
        micro_batch = batch_size(recipe, len(labels)) // recipe["accumulate"]  # the loss compares within it
        candidates = recipe["views"]["count"] * (micro_batch - 1) + (0 if recipe["decoupled"] else 1)
        self.chance_loss = math.log(candidates)

    def warnings(self, row: Mapping[str, float]) -> list[str]:
        """What is wrong after an epoch, from its `train_loss` and, if it was evaluated, its `feature_std`."""
        found = []
        if row.get("train_loss", 0.0) > CHANCE * self.chance_loss:
            found.append(
                f"the loss is {row['train_loss']:.3f}, that of an encoder that cannot tell images apart "
                f"({self.chance_loss:.3f})"
            )
        if row.get("feature_std", 1.0) < COLLAPSED:
            found.append(
                f"the features have collapsed (spread {row['feature_std']:.3f}); lower learning_rate"
            )
        return found

    def check_loss(self, row: Mapping[str, float]) -> None:
        """Warn if an epoch's mean loss is at chance level, which shows long before the next `evaluate`.

        Every training begins there, so the first tenth of its epochs is passed over.
        """
        if row["epoch"] > self.epochs / 10:
            self._warn(row)

    def _warn(self, row: Mapping[str, float]) -> None:
        for text in self.warnings(row):
            log.warning("%s: %s", self.label, text, extra={"passing": True})

    def evaluate(self) -> dict[str, float]:
        """`knn_accuracy` of the queries (percent) and `feature_std` of the bank (see `feature_spread`).

        Without labels only the latter.
        """
        (bank, bank_labels), (queries, labels) = (
            (
                encode(self.encoder, self.images, precision=self.precision, indices=indices),
                self.images.labels[indices.to(self.images.device)],
            )
            for indices in (self.bank, self.queries)
        )
        labelled = bool((labels >= 0).all())
        accuracy = knn_accuracy(bank, bank_labels, queries, labels, k=K) if labelled else None
        spread = feature_spread(bank)
        self._warn({"feature_std": spread})
        return {**({} if accuracy is None else {"knn_accuracy": accuracy}), "feature_std": spread}
