"""How many labels each share of a data set has, worked out before anything is trained."""

from collections.abc import Mapping
from typing import Any

import torch

from triptych.classify.label_share import labelled_images
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_split


def count_labels(dataset: PackedDataset, recipe: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Draw every share once, as probes and fine-tuning will: the counts are the same for all seeds.

    Args:
        dataset: whose training labels are shared out.
        recipe: `few_labels` and `fine_tune`, lists of percents, and `validation`: images that
            fine-tuning holds out.

    Returns:
        `few_labels` and `fine_tune`: numbers of labels by percent.

    Raises:
        TriptychError: a share has too few labels of a class (see `labelled_images`), or there are fewer
            images than fine-tuning holds out.
    """
    labels = dataset.train_labels
    parts = {"few_labels": labels}
    if recipe["fine_tune"]:
        parts["fine_tune"] = labels[stratified_split(labels, recipe["validation"], seed=0)[0]]
    return {
        name: {
            f"{percent:g}": len(labelled_images(torch.from_numpy(part), percent=percent, seed=0))
            for percent in recipe[name]
        }
        for name, part in parts.items()
    }
