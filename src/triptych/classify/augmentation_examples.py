"""Example images under each of the grid's augmentations."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from triptych.augment.augmentation import make_augmentation
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_subset
from triptych.experiments.experiment import training_images
from triptych.workflow.seeds import torch_generator

COUNT = 8  # images


def augmentation_examples(
    dataset: PackedDataset, *, base: Mapping[str, Any], augmentations: Mapping[str, Mapping[str, Any]]
) -> dict[str, NDArray[Any]]:
    """Augment eight training images as the trainings do, on the CPU, by each augmentation (see
    `make_augmentation`).

    All augmentations have the same batch and the same random numbers, so crop, flip and rotation agree and
    only the augmentation itself differs. Partners of mixed images are other images of the batch.

    Returns:
        `original`: (8, H, W, 3) uint8; `labels`: (8,) int64; `images`: (augmentations, 8, H, W, 3) uint8, the
            network's inputs as pixels; `targets`: (augmentations, 8, classes) float32, label weights.
    """
    count = min(COUNT, len(dataset.train_labels))
    chosen = stratified_subset(dataset.train_labels, count, seed=0)
    batch = training_images(dataset, torch.device("cpu"), chosen)
    everything = torch.arange(count)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (dataset.mean, dataset.std))
    images, targets = [], []
    for augmentation in augmentations.values():
        augment = make_augmentation(base, augmentation, batch.normalise, batch.side)
        one_hot = F.one_hot(batch.labels, dataset.num_classes).float()
        inputs, weights = augment(batch.pixels(everything), one_hot, torch_generator("cpu", "examples"))
        pixels = (inputs * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
        images.append(pixels.permute(0, 2, 3, 1).numpy())
        targets.append(weights.numpy())
    return {
        "original": batch.centres(everything).mul(255).round().byte().permute(0, 2, 3, 1).numpy(),
        "labels": batch.labels.numpy(),
        "images": np.stack(images),
        "targets": np.stack(targets),
    }
