"""Checks before a pretraining, of errors that would otherwise occur hours later.

Scripts load this module by name, so that an edit of it makes no result stale.
"""

from collections.abc import Mapping
from typing import Any

import torch

from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_split
from triptych.ssl.label_fraction import labelled_images
from triptych.workflow.errors import TriptychError


def check_labels(dataset: PackedDataset, learning: Mapping[str, Any]) -> None:
    """Split the training images and draw every label fraction once, as the evaluations of pretraining do.

    The sizes are the same for all seeds.

    Args:
        dataset: the data set; its training labels are split.
        learning: the config's `self_supervision`.

    Raises:
        TriptychError: a fraction has too few labels of a class (see `labelled_images`) or for a batch, or a
            validation split would hold out all training images.
    """
    labels = dataset.train_labels
    tuning = learning["fine_tune"]
    for name in ("probe", "supervised", *(["fine_tune"] if tuning["percents"] else [])):
        validation = learning[name]["validation"]
        if validation >= len(labels):
            raise TriptychError(
                f"config: self_supervision.{name}.validation is {validation}, but there are only "
                f"{len(labels)} training images; lower it"
            )
    fractions = [(labels, learning["label_fraction"]["percents"])]
    if tuning["percents"]:
        kept = stratified_split(labels, tuning["validation"], seed=0)[0]
        fractions.append((labels[kept], tuning["percents"]))
    for available, percents in fractions:
        for percent in percents:
            found = labelled_images(torch.from_numpy(available), percent=percent, seed=0)
            if available is not labels and len(found) < tuning["batch_size"]:
                raise TriptychError(
                    f"config: self_supervision.fine_tune.batch_size is {tuning['batch_size']}, but "
                    f"{percent:g} % of the labels are {len(found)}; lower batch_size or raise percents"
                )
