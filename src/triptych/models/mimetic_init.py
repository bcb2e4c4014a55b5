"""Weights of attention that begin as those of trained networks look.

Trockman and Kolter, Mimetic Initialization of Self-Attention Layers, 2023: in trained Vision Transformers
queries meet keys as if by the identity, so tokens look at tokens like themselves, and values pass through
projections as if by its negative. Positions begin as sines and cosines, so what is like a token is near it.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from triptych.workflow.errors import TriptychError

# Shares of noise and of the identity, as in the paper.
LOOKING = 0.7, 0.7
PASSING = 0.4, -0.4
TEMPERATURE = 10_000.0  # between the shortest and the longest wave: Vaswani et al. 2017


def _factors(dim: int, shares: tuple[float, float], rank: int) -> tuple[Tensor, Tensor]:
    """Left (dim, rank) and right (rank, dim), whose product is next to noise and identity in these shares."""
    noise, identity = shares
    u, s, vh = torch.linalg.svd(noise * torch.randn(dim, dim) / dim**0.5 + identity * torch.eye(dim))
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


@torch.no_grad()
def begin_as_trained(positions: Tensor, attentions: Iterable[Any]) -> None:
    """Set the weights of a Vision Transformer's attention and its positions.

    Args:
        positions: (1, 1 + side * side, dim), the first of the class token, the others row by row.
        attentions: layers with `heads`, `qkv` (queries, keys, values one below the other) and `projection`.

    Raises:
        TriptychError: dim is not a multiple of 4.
    """
    tokens, dim = positions.shape[1:]
    if dim % 4:
        raise TriptychError(f"mimetic: true needs a dim that is a multiple of 4, which {dim} is not")
    positions[0] = torch.cat([torch.zeros(1, dim), sinusoids(math.isqrt(tokens - 1), dim)])
    for layer in attentions:
        pairs = [_factors(dim, LOOKING, dim // layer.heads) for _ in range(layer.heads)]
        projection, values = _factors(dim, PASSING, dim)
        layer.qkv.weight.copy_(
            torch.cat([*(left.T for left, _ in pairs), *(right for _, right in pairs), values])
        )
        layer.projection.weight.copy_(projection)


def sinusoids(side: int, dim: int) -> Tensor:
    """Positions of a square of tokens, row by row: sines and cosines of the column, then of the row.

    Args:
        dim: a multiple of 4.

    Returns:
        (side * side, dim)
    """
    at = torch.arange(side).float()
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    frequencies = TEMPERATURE ** -torch.linspace(0, 1, dim // 4)
    x, y = columns.reshape(-1, 1) * frequencies, rows.reshape(-1, 1) * frequencies
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)
