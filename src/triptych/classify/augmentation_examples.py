"""The same training images under each of the grid's augmentations, for the reader's eye."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from triptych.augment.augmentation import make_augmentation
from triptych.data.device import DeviceImages
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_subset
from triptych.workflow.seeds import torch_generator

COUNT = 8  # images


def augmentation_examples(
    dataset: PackedDataset, *, shared: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]
) -> dict[str, NDArray[Any]]:
    """Draw with the functions and on the pixels that the trainings use, on the CPU.

    All augmentations get the same batch and the same random numbers: crop, mirror and rotation agree, and
    what differs is the augmentation itself. Partners of mixed images are other images of the batch.

    Args:
        dataset: where the images come from: eight, in the proportions of the classes.
        shared: every cell's `padding`, `flip` and `degrees`.
        columns: by name, what each augmentation adds (see `make_augmentation`).

    Returns:
        `original`: (8, H, W, 3) uint8; `labels`: (8,) int64; `images`: (columns, 8, H, W, 3) uint8, what
        the network sees, scaled back to pixels; `targets`: (columns, 8, classes) float32, label weights.
    """
    count = min(COUNT, len(dataset.train_labels))
    batch = DeviceImages(
        dataset.train_images,
        dataset.train_labels,
        mean=dataset.mean,
        std=dataset.std,
        device=torch.device("cpu"),
        indices=stratified_subset(dataset.train_labels, count, seed=0),
    )
    everything = torch.arange(count)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (dataset.mean, dataset.std))
    images, targets = [], []
    for column in columns.values():
        augment = make_augmentation(shared, column, batch.normalise)
        one_hot = F.one_hot(batch.labels, dataset.num_classes).float()
        seen, weights = augment(batch.pixels(everything), one_hot, torch_generator("cpu", "examples"))
        pixels = (seen * std + mean).clamp(0, 1).mul(255).round().to(torch.uint8)
        images.append(pixels.permute(0, 2, 3, 1).numpy())
        targets.append(weights.numpy())
    return {
        "original": batch.bytes(everything).permute(0, 2, 3, 1).numpy(),
        "labels": batch.labels.numpy(),
        "images": np.stack(images),
        "targets": np.stack(targets),
    }
