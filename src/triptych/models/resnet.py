"""ResNet18 with a stem for small images or for large ones.

He et al., Deep Residual Learning for Image Recognition, 2016: section 4.2 has the stem for small images, a
3x3 convolution; table 1 the one for large images, a 7x7 convolution of stride 2 and max-pooling of stride 2.
"""

import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 64  # pixels: the largest images that get the stem for small ones by default


def conv(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias, padded by half its size."""
    return nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut, which is a 1x1 convolution if the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(channels_in, channels_out, 3, stride)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = conv(channels_out, channels_out, 3)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels_out:
            self.shortcut.append(conv(channels_in, channels_out, 1, stride))
            self.shortcut.append(nn.BatchNorm2d(channels_out))

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels_in, H, W) -> (N, channels_out, H / stride, W / stride)."""
        out = F.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class ResNet18(nn.Module):
    """The encoder: images to feature vectors, 8 times as wide as the first stage (64 -> 512).

    A large stem divides the sides of the images by 4.
    """

    def __init__(self, *, width: int = 64, large_stem: bool = False) -> None:
        super().__init__()
        self.features = 8 * width
        self.stem = conv(3, width, 7, stride=2) if large_stem else conv(3, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1) if large_stem else nn.Identity()
        self.blocks = nn.Sequential(
            BasicBlock(width, width, stride=1),
            BasicBlock(width, width, stride=1),
            BasicBlock(width, 2 * width, stride=2),
            BasicBlock(2 * width, 2 * width, stride=1),
            BasicBlock(2 * width, 4 * width, stride=2),
            BasicBlock(4 * width, 4 * width, stride=1),
            BasicBlock(4 * width, 8 * width, stride=2),
            BasicBlock(8 * width, 8 * width, stride=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) normalised images -> (N, 8 * width) features, averaged over space."""
        x = self.pool(F.relu(self.norm(self.stem(x))))
        return self.blocks(x).mean(dim=(2, 3))


def build(num_classes: int, image_size: int, *, width: int = 64, large_stem: bool | None = None) -> nn.Module:
    """A classifier: the encoder and one linear layer (11,220,132 parameters for 100 classes); 0: the encoder.

    With `large_stem` None, images above 64 pixels get the stem for large images.
    """
    encoder = ResNet18(width=width, large_stem=image_size > SMALL if large_stem is None else large_stem)
    return nn.Sequential(encoder, nn.Linear(encoder.features, num_classes)) if num_classes else encoder
