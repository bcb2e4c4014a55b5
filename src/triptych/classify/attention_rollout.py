"""Attention rollout: Abnar and Zuidema, Quantifying Attention Flow in Transformers, 2020."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from triptych.workflow.errors import TriptychError


@torch.no_grad()
def attention_weights(model: nn.Module, images: Tensor) -> list[Tensor]:
    """softmax(Q K^T / sqrt(width)) of every attention layer, in the order in which they are asked.

    An attention layer is a module with the number of its `heads` and a layer `qkv` that gives queries,
    keys and values, each by head (see `triptych.models.vit`). The model does what it always does: its
    `qkv` layers are listened to.

    Args:
        model: in eval mode.
        images: (N, 3, H, W), normalised.

    Returns:
        For each layer (N, heads, tokens, tokens) float32, rows that sum to one; none for a model
        without attention.
    """
    weights: list[Tensor] = []

    def listen_to(layer: nn.Module, heads: int) -> torch.utils.hooks.RemovableHandle:
        def listen(module: nn.Module, given: tuple[Tensor, ...], qkv: Tensor) -> None:
            n, tokens, triple = qkv.shape
            width = triple // 3 // heads
            q, k, _ = qkv.float().view(n, tokens, 3, heads, width).permute(2, 0, 3, 1, 4)
            weights.append((q @ k.transpose(-2, -1) * width**-0.5).softmax(dim=-1))

        return layer.register_forward_hook(listen)

    handles = []
    for layer in model.modules():
        heads, qkv = getattr(layer, "heads", None), getattr(layer, "qkv", None)
        if isinstance(heads, int) and isinstance(qkv, nn.Module):
            handles.append(listen_to(qkv, heads))
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    return weights


def rollout(weights: Sequence[Tensor]) -> Tensor:
    """How much of each token's input is in each token's output, by attention alone.

    Heads are averaged. A residual connection passes a token on beside the attention, hence
    0.5 A + 0.5 I, its rows made to sum to one; the product over the layers is the flow through all of them.

    Args:
        weights: of each layer, first to last, (N, heads, tokens, tokens).

    Returns:
        (N, tokens, tokens): rows are outputs, columns inputs; rows sum to one.
    """
    flow = torch.eye(weights[0].shape[-1], device=weights[0].device)
    for layer in weights:
        mixed = 0.5 * layer.mean(dim=1) + 0.5 * torch.eye(layer.shape[-1], device=layer.device)
        flow = mixed / mixed.sum(dim=-1, keepdim=True) @ flow
    return flow


def class_token_maps(model: nn.Module, images: Tensor) -> Tensor:
    """What the class token of a ViT has taken from each patch, by rollout.

    Args:
        model: in eval mode; its first token is the class token, the others are a square of patches.
        images: (N, 3, H, W), normalised.

    Returns:
        (N, side, side) float32, patches in the order of the image.

    Raises:
        TriptychError: the model has no attention layer, or other tokens.
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
