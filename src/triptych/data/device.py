"""Images as the trainings read them: uint8, on the training device or gathered from their file."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

EVALUATED = 500  # images of up to 64 pixels in a batch of an evaluation; of larger ones, as many pixels
RESIDENT_SHARE = 0.25  # of a GPU's free memory: larger sets of images stay in their file


class DeviceImages:
    """Labelled images (N, P, P, 3) uint8, usually mapped, on a device.

    A GPU holds all of them if they take at most a quarter of its free memory. Otherwise, and on a CPU, they
    stay in their file, and each batch is read from it. What is read stays in the system's cache as long as
    there is room, so any number of images is trained on in the same memory. `mean` and `std` are those of
    pixels in 0..1; `side`, P or less, is that of the images that networks read.
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
        side: int | None = None,
    ) -> None:
        self.side = side or images.shape[1]
        self.device = device
        rows = np.arange(len(labels)) if indices is None else indices
        self.labels = torch.from_numpy(labels[rows]).to(device)
        self._images, self._rows = images, rows
        self._resident: Tensor | None = None
        if device.type != "cpu" and len(rows) * images.strides[0] <= RESIDENT_SHARE * _free_memory(device):
            self._resident = _channels_last(images[rows]).to(device)
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    def __len__(self) -> int:
        return len(self.labels)

    def uint8(self, indices: Tensor) -> Tensor:
        """(B,) int64 indices -> (B, 3, P, P) uint8, channels_last: as packed, for random crops."""
        if self._resident is not None:
            return self._resident[indices.to(self.device)]
        return _channels_last(self._images[self._rows[indices.cpu().numpy()]]).to(self.device)

    def pixels(self, indices: Tensor) -> Tensor:
        """(B,) int64 indices -> (B, 3, P, P) float32 in 0..1, channels_last: as packed, for random crops."""
        return self.uint8(indices).float().div_(255)

    def centres(self, indices: Tensor) -> Tensor:
        """(B,) int64 indices -> (B, 3, side, side) float32 in 0..1, channels_last: the central squares."""
        start = (self._images.shape[1] - self.side) // 2
        inside = slice(start, start + self.side)
        return self.uint8(indices)[:, :, inside, inside].float().div_(255)

    def batches(self, indices: Tensor | None = None, count: int = EVALUATED) -> tuple[Tensor, ...]:
        """Indices (all by default) in batches for evaluations, of `count` images or fewer large ones."""
        chosen = torch.arange(len(self)) if indices is None else indices
        return chosen.split(min(count, max(1, count * 64**2 // self.side**2)))

    def normalise(self, pixels: Tensor) -> Tensor:
        """Subtract the channel means and divide by the standard deviations."""
        return ((pixels - self._mean) / self._std).contiguous(memory_format=torch.channels_last)


def _channels_last(images: NDArray[np.uint8]) -> Tensor:
    """(B, H, W, 3) seen as (B, 3, H, W), without a copy: NHWC in memory is torch's channels_last."""
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def _free_memory(device: torch.device) -> int:
    """Bytes; 8 GiB where the device does not say."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else 2**33
