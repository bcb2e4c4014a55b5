"""Every network of the grid, tried before any is trained: a mistake is to be found before hours pass."""

from collections.abc import Mapping
from typing import Any

import torch

from triptych.classify.architectures import build_model
from triptych.data.packed import PackedDataset
from triptych.nn.attention_rollout import class_token_maps
from triptych.run.errors import TriptychError


def try_networks(
    dataset: PackedDataset, networks: Mapping[str, Mapping[str, Mapping[str, Any]]], attentive: list[str]
) -> dict[str, dict[str, list[int] | None]]:
    """Build each network and, of architectures whose attention is to be drawn, roll it out once.

    Args:
        dataset: that they are to be trained on.
        networks: `module` and `options` by architecture and augmentation.
        attentive: architectures with `attention: true`.

    Returns:
        By architecture and augmentation the height and width in patches of the map of attention, or None.

    Raises:
        TriptychError: a network cannot be built (see `build_model`), or its attention cannot be rolled out.
    """
    side = dataset.image_size[0]
    found: dict[str, dict[str, list[int] | None]] = {}
    for architecture, row in networks.items():
        for augmentation, network in row.items():
            model = build_model(network["module"], dataset.num_classes, side, network["options"]).eval()
            patches = None
            if architecture in attentive:
                try:
                    patches = list(class_token_maps(model, torch.zeros(1, 3, side, side)).shape[1:])
                except TriptychError as error:
                    raise TriptychError(
                        f"config: architectures.{architecture}: no attention rollout: {error}; "
                        "set attention: false"
                    ) from error
            found.setdefault(architecture, {})[augmentation] = patches
    return found
