"""A pre-norm Vision Transformer for small images.

Dosovitskiy et al., An Image is Worth 16x16 Words, 2021 (equations 1 to 4).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from triptych.run.errors import TriptychError


class Attention(nn.Module):
    """Multi-head self-attention with the output projection applied."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(dim, 3 * dim)
        self.projection = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> (N, tokens, dim)."""
        n, tokens, dim = x.shape
        q, k, v = self.qkv(x).view(n, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        if x.device.type == "cpu":
            # In bfloat16 the fused kernel is half as fast on CPUs as the three plain products.
            weights = (q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5).softmax(dim=-1)
            out = F.dropout(weights, dropout).to(v.dtype) @ v
        else:
            out = F.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        return self.projection(out.transpose(1, 2).reshape(n, tokens, dim))


class Block(nn.Module):
    """Attention and a two-layer MLP, each behind a layer norm and a residual connection."""

    def __init__(self, dim: int, heads: int, mlp: int, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(
            nn.Linear(dim, mlp), nn.GELU(), nn.Dropout(dropout), nn.Linear(mlp, dim), nn.Dropout(dropout)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> (N, tokens, dim)."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    """Patches, a class token, learned positions, pre-norm blocks, a linear classifier."""

    def __init__(
        self,
        *,
        num_classes: int,
        image_size: int,
        patch: int,
        dim: int,
        depth: int,
        heads: int,
        mlp: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if image_size % patch or dim % heads:
            raise TriptychError(
                f"vit: patch ({patch}) must divide the image size ({image_size}) and heads ({heads}) "
                f"must divide dim ({dim}); change the architecture's options"
            )
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, dim))
        self.positions = nn.Parameter(torch.empty(1, (image_size // patch) ** 2 + 1, dim))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp, dropout) for _ in range(depth)))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        nn.init.trunc_normal_(self.positions, std=0.02)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, num_classes) logits."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        return self.head(self.norm(self.blocks(self.dropout(x)))[:, 0])


def build(
    num_classes: int,
    image_size: int,
    *,
    patch: int = 4,
    dim: int = 512,
    depth: int = 6,
    heads: int = 8,
    mlp: int = 1024,
    dropout: float = 0.1,
) -> nn.Module:
    """The report's ViT as its text describes it: 12,727,908 parameters for 100 classes of 32x32."""
    return ViT(
        num_classes=num_classes,
        image_size=image_size,
        patch=patch,
        dim=dim,
        depth=depth,
        heads=heads,
        mlp=mlp,
        dropout=dropout,
    )
