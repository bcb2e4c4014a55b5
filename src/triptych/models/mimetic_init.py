"""Initial weights of attention that resemble those of trained networks.

Trockman and Kolter, Mimetic Initialization of Self-Attention Layers, 2023: in trained Vision Transformers
the product of the query and key weights is close to the identity, so a token attends to similar tokens; the
product of the value and output weights is close to the negative identity. Positions start as sines and
cosines, which makes neighbouring patches similar.
"""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from triptych.workflow.errors import TriptychError

# Weights of the noise and of the identity, as in the paper.
QUERY_KEY = 0.7, 0.7
VALUE_PROJECTION = 0.4, -0.4
TEMPERATURE = 10_000.0  # between the shortest and the longest wave: Vaswani et al. 2017


def _factors(dim: int, weights: tuple[float, float], rank: int) -> tuple[Tensor, Tensor]:
    """Left (dim, rank) and right (rank, dim) whose product is closest to weighted noise plus identity."""
    noise, identity = weights
    u, s, vh = torch.linalg.svd(noise * torch.randn(dim, dim) / dim**0.5 + identity * torch.eye(dim))
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


@torch.no_grad()
def mimetic_init(positions: Tensor, attentions: Iterable[Any]) -> None:
    """Initialise the attention and the positions of a Vision Transformer.

    Positions are (1, 1 + side * side, dim), the class token's, then the patches' row by row; layers have
    `heads`, `qkv` (rows: queries, then keys, then values) and `projection`. Raises `TriptychError` if dim is
    not a multiple of 4.
    """
    tokens, dim = positions.shape[1:]
    if dim % 4:
        raise TriptychError(f"mimetic: true needs a dim that is a multiple of 4, which {dim} is not")
    positions[0] = torch.cat([torch.zeros(1, dim), sinusoids(math.isqrt(tokens - 1), dim)])
    for layer in attentions:
        heads = [_factors(dim, QUERY_KEY, dim // layer.heads) for _ in range(layer.heads)]
        projection, values = _factors(dim, VALUE_PROJECTION, dim)
        queries, keys = [left.T for left, _ in heads], [right for _, right in heads]
        layer.qkv.weight.copy_(torch.cat([*queries, *keys, values]))
        layer.projection.weight.copy_(projection)


def sinusoids(side: int, dim: int) -> Tensor:
    """Positions (side * side, dim) of patches, row by row: sines and cosines of column, then of row."""
    at = torch.arange(side).float()
    rows, columns = torch.meshgrid(at, at, indexing="ij")
    frequencies = TEMPERATURE ** -torch.linspace(0, 1, dim // 4)
    x, y = columns.reshape(-1, 1) * frequencies, rows.reshape(-1, 1) * frequencies
    return torch.cat([x.sin(), x.cos(), y.sin(), y.cos()], dim=1)
