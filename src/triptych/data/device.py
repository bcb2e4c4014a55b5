"""Images as the trainings read them: uint8, resident on the training device, no loader workers."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class DeviceImages:
    """Labelled images on a device.

    Args:
        images: (N, H, W, 3) uint8.
        labels: (N,) int64.
        mean: channel means for pixels in 0..1.
        std: channel standard deviations, likewise.
        device: device of the images; 60,000 images of 32x32 take 184 MB.
        indices: indices of the images to use; all by default.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        mean: tuple[float, float, float],
        std: tuple[float, float, float],
        device: torch.device,
        indices: NDArray[np.int64] | None = None,
    ) -> None:
        if indices is not None:
            images, labels = images[indices], labels[indices]
        # NHWC in memory seen as NCHW is what torch calls channels_last: no copy is needed.
        self._images = torch.from_numpy(np.array(images)).permute(0, 3, 1, 2).to(device)
        self.labels = torch.from_numpy(np.array(labels)).to(device)
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)
        self.device = device

    def __len__(self) -> int:
        return len(self.labels)

    def uint8(self, indices: Tensor) -> Tensor:
        """(B,) int64 indices -> (B, 3, H, W) uint8, channels_last."""
        return self._images[indices.to(self.device)]

    def pixels(self, indices: Tensor) -> Tensor:
        """(B,) int64 indices -> (B, 3, H, W) float32 in 0..1, channels_last."""
        return self.uint8(indices).float().div_(255)

    def normalise(self, pixels: Tensor) -> Tensor:
        """Subtract the channel means and divide by the standard deviations."""
        return ((pixels - self._mean) / self._std).contiguous(memory_format=torch.channels_last)
