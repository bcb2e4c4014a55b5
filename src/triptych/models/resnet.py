"""ResNet18 for small images: a 3x3 stem and no max-pooling.

He et al., Deep Residual Learning for Image Recognition, 2016 (section 4.2 has the CIFAR stem).
"""

from torch import Tensor, nn

from triptych.kernels.conv.layer import Convolution
from triptych.kernels.norm.batch_norm import batch_norm_relu


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(channels_in, channels_out, 3, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = Convolution(channels_out, channels_out, 3)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                Convolution(channels_in, channels_out, 1, stride), nn.BatchNorm2d(channels_out)
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        out = batch_norm_relu(self.norm1, self.conv1(x))
        shortcut = x
        if self.shortcut is not None:
            convolution, norm = self.shortcut
            shortcut = batch_norm_relu(norm, convolution(x), relu=False)
        return batch_norm_relu(self.norm2, self.conv2(out), shortcut)


class ResNet18(nn.Module):
    """The encoder: images to feature vectors.

    Args:
        width: channels of the first stage; the features have 8 times as many (64 -> 512).
    """

    def __init__(self, *, width: int = 64) -> None:
        super().__init__()
        self.features = 8 * width
        self.stem = Convolution(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        blocks: list[nn.Module] = []
        channels = width
        for stage in range(4):
            wider = width * 2**stage
            blocks.append(BasicBlock(channels, wider, stride=1 if stage == 0 else 2))
            blocks.append(BasicBlock(wider, wider, stride=1))
            channels = wider
        self.blocks = nn.Sequential(*blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, 8 * width) features, averaged over space."""
        x = batch_norm_relu(self.norm, self.stem(x))
        return self.blocks(x).mean(dim=(2, 3))


def build(num_classes: int, image_size: int, *, width: int = 64) -> nn.Module:
    """A classifier: the encoder and one linear layer (11,220,132 parameters for 100 classes).

    The network is convolutional, so `image_size` does not change it.
    """
    encoder = ResNet18(width=width)
    return nn.Sequential(encoder, nn.Linear(encoder.features, num_classes))
