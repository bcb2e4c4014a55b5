"""Attention rollouts of the trained networks of one architecture on the same test images."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.classify.architectures import build_model
from triptych.classify.attention_rollout import class_token_maps
from triptych.classify.experiment import load_weights
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_subset

COUNT = 8  # images


def attention_maps(
    dataset: PackedDataset,
    *,
    networks: Mapping[str, Mapping[str, Any]],
    weights: Mapping[str, str | Path],
) -> dict[str, NDArray[Any]]:
    """Run the networks in float32 on the CPU on eight test images, in the proportions of the classes.

    Args:
        dataset: that the networks were trained on.
        networks: `module` and `options` by augmentation.
        weights: files of weights by augmentation.

    Returns:
        `images`: (8, H, W, 3) uint8; `labels`: (8,) int64; `maps`: (augmentations, 8, side, side) float32,
        see `class_token_maps`; `predicted`: (augmentations, 8) int64 classes.

    Raises:
        TriptychError: its attention cannot be rolled out, or weights do not fit.
    """
    count = min(COUNT, len(dataset.test_labels))
    chosen = DeviceImages(
        dataset.test_images,
        dataset.test_labels,
        mean=dataset.mean,
        std=dataset.std,
        device=torch.device("cpu"),
        indices=stratified_subset(dataset.test_labels, count, seed=0),
    )
    everything = torch.arange(count)
    pixels = chosen.normalise(chosen.pixels(everything))
    maps, predicted = [], []
    for augmentation, network in networks.items():
        model = build_model(
            network["module"], dataset.num_classes, dataset.image_size[0], dict(network["options"])
        )
        load_weights(model, weights[augmentation])
        model.eval()
        maps.append(class_token_maps(model, pixels).numpy())
        with torch.no_grad():
            predicted.append(model(pixels).argmax(dim=1).numpy())
    return {
        "images": chosen.bytes(everything).permute(0, 2, 3, 1).numpy(),
        "labels": chosen.labels.numpy(),
        "maps": np.stack(maps),
        "predicted": np.stack(predicted),
    }
