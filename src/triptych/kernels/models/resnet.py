"""ResNet18 with batch norm, residual addition and ReLU as one operation."""

from torch import Tensor

from triptych.kernels.norm.batch_norm import batch_norm
from triptych.models import resnet


class BasicBlock(resnet.BasicBlock):
    """The block of `triptych.models.resnet`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        out = batch_norm(self.norm1, self.conv1(x), relu=True)
        residual = x
        if len(self.shortcut):
            conv, norm = self.shortcut
            residual = batch_norm(norm, conv(x))
        return batch_norm(self.norm2, self.conv2(out), residual, relu=True)


class ResNet18(resnet.ResNet18):
    """The encoder of `triptych.models.resnet`."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, 8 * width) features, averaged over space."""
        x = self.pool(batch_norm(self.norm, self.stem(x), relu=True))
        return self.blocks(x).mean(dim=(2, 3))
