"""A Vision Transformer: Dosovitskiy et al., An Image is Worth 16x16 Words, 2021."""

import torch
from torch import Tensor, nn

from triptych.models.mimetic_init import mimetic_init
from triptych.models.transformer import Block
from triptych.workflow.errors import TriptychError


class ViT(nn.Module):
    """Patches, a class token, learned positions, pre-norm Transformer blocks, a linear classifier.

    Raises `TriptychError` if the options do not fit each other or the images.

    Args:
        num_classes: number of classes; 0: the features of the class token instead of logits.
        image_size: side of the square images in pixels.
        patch: side of a patch in pixels; None: the smallest that gives at most 14 patches a side.
        mlp: hidden units of each block's MLP.
        dropout: dropout probability after the positions, after attention and in the MLP.
        stochastic_depth: block b of `depth`, from 1, drops with probability stochastic_depth * b / depth.
        mimetic: whether attention and positions start as in trained networks (see `mimetic_init`).
    """

    # Read by triptych.training.optimizer: what is not decayed, and the input and output layers.
    embeddings = ("class_token", "positions")
    ends = ("patches", "head")

    def __init__(
        self,
        num_classes: int,
        image_size: int,
        *,
        patch: int | None = None,
        dim: int = 512,
        depth: int = 6,
        heads: int = 8,
        mlp: int = 1024,
        dropout: float = 0.0,
        stochastic_depth: float = 0.0,
        mimetic: bool = False,
    ) -> None:
        super().__init__()
        divisors = (side for side in range(1, image_size) if image_size % side == 0)
        patch = patch or next((side for side in divisors if 4 <= image_size // side <= 14), 4)
        if image_size % patch or dim % heads:
            raise TriptychError(
                f"vit: patch ({patch}) must divide the image size ({image_size}) and heads ({heads}) "
                f"must divide dim ({dim}); change image_size or these options"
            )
        if not 0 <= stochastic_depth < 1:
            raise TriptychError(f"stochastic_depth is {stochastic_depth}; it must be at least 0 and below 1")
        self.patches = nn.Conv2d(3, dim, patch, stride=patch)
        self.class_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, 1, dim), std=0.02))
        tokens = 1 + (image_size // patch) ** 2
        self.positions = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, tokens, dim), std=0.02))
        self.dropout = nn.Dropout(dropout)
        rates = [stochastic_depth * b / depth for b in range(1, depth + 1)]
        self.blocks = nn.Sequential(*(Block(dim, heads, mlp, dropout, rate) for rate in rates))
        self.norm = nn.LayerNorm(dim)
        self.features = dim
        self.head = nn.Linear(dim, num_classes) if num_classes else nn.Identity()
        for module in self.modules():  # the patch convolution keeps PyTorch's initialisation
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        if mimetic:
            mimetic_init(self.positions, [block.attention for block in self.blocks])

    def embed(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, tokens, dim): the class token, then the patches row by row."""
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        class_token = self.class_token.expand(tokens.shape[0], -1, -1)  # len() would fix it in exports
        return self.dropout(torch.cat([class_token, tokens], dim=1) + self.positions)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, num_classes) logits."""
        x = self.blocks(self.embed(images))
        return self.head(self.norm(x[:, 0]))


# The grid calls `build(num_classes, image_size, **options)`. With default options this is the ViT of the
# report: 12,727,908 parameters for 100 classes of 32x32 images.
build = ViT
