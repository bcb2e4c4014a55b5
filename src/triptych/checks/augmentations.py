"""The augmentations that users wrote, tried before anything trains."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from triptych.augment.augmentation import load_user_function
from triptych.data.packed import PackedDataset
from triptych.workflow.errors import TriptychError


def check_augmentations(
    dataset: PackedDataset, augmentations: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """Try each augmentation, its `module` and `options` by name, on two random images.

    Yields:
        Problems, one line each.
    """
    side = dataset.image_size[0]
    for name, augmentation in augmentations.items():
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(2, 3, side, side, generator=generator)
        targets = torch.eye(2, dataset.num_classes)
        try:
            augment = load_user_function(augmentation["module"], augmentation["options"])
            with torch.random.fork_rng([]):
                augment(images, targets, generator)
        except TriptychError as error:
            yield f"config: augmentations.{name}: {error}"
