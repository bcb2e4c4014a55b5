"""A pre-norm Transformer block with stochastic depth.

Vaswani et al., Attention Is All You Need, 2017; pre-norm: Xiong et al., On Layer Normalization in the
Transformer Architecture, 2020; stochastic depth: Huang et al., Deep Networks with Stochastic Depth, 2016.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Multi-head self-attention (section 3.2.2) with its output projection."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        q, k, v = self.qkv(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.projection(out.transpose(1, 2).flatten(2))


class DropPath(nn.Module):
    """Drop the residual branch of each image with probability p, below 1, during training.

    Branches that stay are multiplied by 1 / (1 - p), so the expectation is unchanged.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, branch: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        if not self.training or self.probability == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.probability
        return branch * (keep / (1 - self.probability))


class Block(nn.Module):
    """Attention and a two-layer MLP on residual branches, each preceded by a layer norm."""

    def __init__(self, dim: int, heads: int, mlp: int, dropout: float, drop_path: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, dim))
        self.dropout = nn.Dropout(dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        x = x + self.drop_path(self.dropout(self.attention(self.norm1(x))))
        return x + self.drop_path(self.dropout(self.mlp(self.norm2(x))))
