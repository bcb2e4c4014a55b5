"""The Vision Transformer with each residual addition and the next layer norm as one operation."""

from typing import Any

from torch import Tensor

from triptych.kernels.attention.op import attention
from triptych.kernels.norm.layer_norm import add_layer_norm
from triptych.models import transformer, vit


class Attention(transformer.Attention):
    """The attention of `triptych.models.transformer`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, tokens, dim) -> the same."""
        out: Tensor = self.projection(attention(self.qkv(x), self.heads))
        return out


class ViT(vit.ViT):
    """The network of `triptych.models.vit`.

    A residual branch is added by the layer norm that follows it, which may be the next block's, so a block
    is never called as a whole: hooks on blocks do not run, those on the layers inside do.
    """

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, num_classes) logits."""
        x, branch, scale = self.embed(images), None, None
        block: Any
        for block in self.blocks:
            x, y = add_layer_norm(block.norm1, x, branch, scale)
            branch, scale = block.dropout(block.attention(y)), block.drop_path.draw_scale(y)
            x, y = add_layer_norm(block.norm2, x, branch, scale)
            branch, scale = block.dropout(block.mlp(y)), block.drop_path.draw_scale(y)
        class_branch = None if branch is None else branch[:, :1]
        _, y = add_layer_norm(self.norm, x[:, :1], class_branch, scale)
        logits: Tensor = self.head(y[:, 0])
        return logits
