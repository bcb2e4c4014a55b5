"""A Vision Transformer for small images: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021."""

import torch
from torch import Tensor, nn

from triptych.kernels.attention.op import attention
from triptych.kernels.linear.layer import Linear
from triptych.kernels.norm.gelu import GELU
from triptych.kernels.norm.layer_norm import add_layer_norm
from triptych.models.mimetic_init import begin_as_trained
from triptych.models.stochastic_depth import StochasticDepth, linear_depths
from triptych.workflow.errors import TriptychError


class Attention(nn.Module):
    """Multi-head self-attention with the output projection applied."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = Linear(dim, 3 * dim)
        self.projection = Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> (N, tokens, dim)."""
        dropout = self.dropout if self.training else 0.0
        out: Tensor = self.projection(attention(self.qkv(x), self.heads, dropout=dropout))
        return out


class Block(nn.Module):
    """Attention and a two-layer MLP, each behind a layer norm, on branches beside the identity.

    A branch is added to the stream by the norm that comes next, in one pass over memory: a block hands
    its last one on.
    """

    def __init__(self, dim: int, heads: int, mlp: int, dropout: float, stochastic_depth: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim)
        self.attention = Attention(dim, heads, dropout)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(Linear(dim, mlp), GELU(), nn.Dropout(dropout), Linear(mlp, dim))
        self.dropout = nn.Dropout(dropout)
        self.depth = StochasticDepth(stochastic_depth)

    def forward(
        self, stream: Tensor, branch: Tensor | None, shares: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Stream and branch (N, tokens, dim) and the branch's shares (N,) -> the next ones."""
        stream, x = add_layer_norm(self.norm1, stream, branch, shares)
        stream, x = add_layer_norm(self.norm2, stream, self.dropout(self.attention(x)), self.depth(x))
        return stream, self.dropout(self.mlp(x)), self.depth(x)


class ViT(nn.Module):
    """Patches, a class token, learned positions, pre-norm blocks, a linear classifier.

    Args:
        num_classes, image_size: of the data; images are square.
        patch: pixels along the side of a patch.
        dim, depth, heads, mlp: width of tokens, number of blocks, attention heads, hidden units of a block.
        dropout: probability, after the positions, in attention and in the MLP.
        stochastic_depth: probability of leaving out a branch of the last block; earlier ones have less.
        mimetic: whether attention and positions start as in trained networks (`mimetic_init`).
    """

    embeddings = ("class_token", "positions")  # see triptych.training.parameter_groups
    ends = ("patches", "head")

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        *,
        patch: int = 4,
        dim: int = 512,
        depth: int = 6,
        heads: int = 8,
        mlp: int = 1024,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        mimetic: bool = False,
    ) -> None:
        super().__init__()
        if image_size % patch or dim % heads:
            raise TriptychError(
                f"vit: patch ({patch}) must divide the image size ({image_size}) and heads ({heads}) "
                f"must divide dim ({dim}); change the architecture's options"
            )
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
        tokens = (image_size // patch) ** 2 + 1
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, tokens, dim), std=0.02))
        self.dropout = nn.Dropout(dropout)
        depths = linear_depths(stochastic_depth, depth)
        self.blocks = nn.ModuleList(Block(dim, heads, mlp, dropout, probability) for probability in depths)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        if mimetic:
            begin_as_trained(self.positions, [block.attention for block in self.blocks])

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, num_classes) logits."""
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        stream, branch, shares = self.dropout(x), None, None
        for block in self.blocks:
            stream, branch, shares = block(stream, branch, shares)
        last = None if branch is None else branch[:, :1]
        _, x = add_layer_norm(self.norm, stream[:, :1], last, shares)  # only the class token is asked
        return self.head(x[:, 0])


build = ViT  # as it stands, the ViT of the report's text: 12,727,908 parameters for 100 classes of 32x32
