"""Checks before a training of what would otherwise fail after hours.

The scripts of trainings load this module by name: an edit here, or of what it imports, cannot change a
result and must not make one stale.
"""

from collections.abc import Mapping
from typing import Any

import torch

from triptych.classify.architectures import build_model
from triptych.classify.attention_rollout import class_token_maps
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_split
from triptych.ssl.label_fraction import labelled_images
from triptych.workflow.errors import TriptychError


def check_labels(dataset: PackedDataset, learning: Mapping[str, Any]) -> None:
    """Split the training images and draw every label fraction once, as the evaluations of pretraining do.

    Their sizes are the same for all seeds.

    Args:
        dataset: whose training labels are split.
        learning: the config's `self_supervision`.

    Raises:
        TriptychError: a fraction has too few labels of a class (see `labelled_images`) or for a batch, or a
            training holds out as many images as there are.
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
    parts = [(labels, learning["label_fraction"]["percents"])]
    if tuning["percents"]:
        kept = stratified_split(labels, tuning["validation"], seed=0)[0]
        parts.append((labels[kept], tuning["percents"]))
    for part, percents in parts:
        for percent in percents:
            found = labelled_images(torch.from_numpy(part), percent=percent, seed=0)
            if part is not labels and len(found) < tuning["batch_size"]:
                raise TriptychError(
                    f"config: self_supervision.fine_tune.batch_size is {tuning['batch_size']}, but "
                    f"{percent:g} % of the labels are {len(found)}; lower batch_size or raise percents"
                )


def check_attention(dataset: PackedDataset, architecture: str, network: Mapping[str, Any]) -> None:
    """Roll out the attention of an untrained network.

    Args:
        dataset: that the network is to be trained on.
        architecture: its name in the config.
        network: `module` and `options`.

    Raises:
        TriptychError: its attention cannot be rolled out (see `class_token_maps`).
    """
    side = dataset.image_size[0]
    model = build_model(network["module"], dataset.num_classes, side, network["options"]).eval()
    try:
        class_token_maps(model, torch.zeros(1, 3, side, side))
    except TriptychError as error:
        raise TriptychError(
            f"config: architectures.{architecture}: no attention rollout: {error}; set attention: false"
        ) from error
