"""Attention rollout: Abnar and Zuidema, Quantifying Attention Flow in Transformers, 2020."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from triptych.classify.architectures import build_model
from triptych.data.packed import PackedDataset
from triptych.data.splits import stratified_subset
from triptych.experiments.experiment import load_weights, test_images
from triptych.kernels.registry import accelerate
from triptych.workflow.errors import TriptychError

COUNT = 8  # images in the figure


@torch.no_grad()
def attention_weights(model: nn.Module, images: Tensor) -> list[Tensor]:
    """softmax(Q K^T / sqrt(width)) of every attention layer, (N, heads, tokens, tokens) each, in the order of
    calls.

    An attention layer is a module with the number of its `heads` and a layer `qkv` that gives queries, keys
    and values, each by head (see `triptych.models.vit`). The weights are computed from the outputs of the
    `qkv` layers, by forward hooks. A model without attention has none.
    """
    weights: list[Tensor] = []

    def compute(heads: int, _layer: nn.Module, _inputs: tuple[Tensor, ...], qkv: Tensor) -> None:
        q, k, _ = qkv.float().unflatten(2, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        weights.append((q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1))

    handles = []
    for layer in model.modules():
        heads, qkv = getattr(layer, "heads", None), getattr(layer, "qkv", None)
        if isinstance(heads, int) and isinstance(qkv, nn.Module):
            handles.append(qkv.register_forward_hook(partial(compute, heads)))
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return weights


def rollout(weights: Sequence[Tensor]) -> Tensor:
    """How much each token's input (column) contributes to each token's output (row), by attention alone.

    Heads of the layers' (N, heads, tokens, tokens) weights are averaged. The residual connection is the
    identity, hence 0.5 A + 0.5 I, with rows normalised to sum to one; the product over the layers is the flow
    through all of them.
    """
    flow = torch.eye(weights[0].shape[-1], device=weights[0].device)
    for layer in weights:
        mixed = 0.5 * layer.mean(dim=1) + 0.5 * torch.eye(layer.shape[-1], device=layer.device)
        flow = mixed / mixed.sum(dim=-1, keepdim=True) @ flow
    return flow


def class_token_maps(model: nn.Module, images: Tensor) -> Tensor:
    """How much the class token of a ViT attends to each patch, by rollout: (N, side, side) float32.

    The tokens of the model, in eval mode, are the class token, then a square of patches. Raises
    `TriptychError` if it has no attention layer, or other tokens.
    """
    weights = attention_weights(model, images)
    if not weights:
        raise TriptychError("it has no module with `heads` and `qkv`")
    counts = sorted({layer.shape[-1] for layer in weights})
    side = math.isqrt(counts[0] - 1)
    if len(counts) > 1 or side**2 + 1 != counts[0]:
        found = " and ".join(map(str, counts))
        raise TriptychError(
            f"its layers attend to {found} tokens, not to a class token and a square of patches"
        )
    return rollout(weights)[:, 0, 1:].unflatten(1, (side, side))


def attention_maps(
    dataset: PackedDataset, *, networks: Mapping[str, Mapping[str, Any]], weights: Mapping[str, str | Path]
) -> dict[str, NDArray[Any]]:
    """Run the networks in float32 on the CPU on eight test images, in the proportions of the classes.

    Networks (`module` and `options`) and files of weights are given by augmentation.

    Returns:
        `images`: (8, H, W, 3) uint8; `labels`: (8,) int64; `maps`: (augmentations, 8, side, side) float32,
            see `class_token_maps`; `predicted`: (augmentations, 8) int64 classes.

    Raises:
        TriptychError: a network has no attention that can be rolled out, or weights do not fit.
    """
    count = min(COUNT, len(dataset.test_labels))
    indices = stratified_subset(dataset.test_labels, count, seed=0)
    chosen = test_images(dataset, torch.device("cpu"), indices)
    everything = torch.arange(count)
    pixels = chosen.normalise(chosen.centres(everything))
    maps, predicted = [], []
    for augmentation, network in networks.items():
        model = build_model(
            network["module"], dataset.num_classes, dataset.image_size[0], dict(network["options"])
        )
        load_weights(model, weights[augmentation])
        accelerate(model).eval()
        maps.append(class_token_maps(model, pixels).numpy())
        with torch.no_grad():
            predicted.append(model(pixels).argmax(dim=1).numpy())
    return {
        "images": chosen.centres(everything).mul(255).round().byte().permute(0, 2, 3, 1).numpy(),
        "labels": chosen.labels.numpy(),
        "maps": np.stack(maps),
        "predicted": np.stack(predicted),
    }


def check_attention(dataset: PackedDataset, architecture: str, network: Mapping[str, Any]) -> None:
    """Roll out the attention of an untrained network; raises `TriptychError` as `class_token_maps` does."""
    side = dataset.image_size[0]
    model = build_model(network["module"], dataset.num_classes, side, network["options"]).eval()
    try:
        class_token_maps(model, torch.zeros(1, 3, side, side))
    except TriptychError as error:
        raise TriptychError(
            f"config: architectures.{architecture}: no attention rollout: {error}; set attention: false"
        ) from error
