"""The training set: every pixel of every training image, kept as bytes and drawn at random."""

import torch
from torch import Tensor

from triptych.radiance.scene import Scene, read_image


def read_images(scene: Scene, index: list[int]) -> list[Tensor]:
    """The images at these positions of the scene, (h, w, 3 or 4) uint8 each."""
    sizes = scene.cameras.size.tolist()
    return [read_image(scene.files[i], (sizes[i][0], sizes[i][1])) for i in index]


class Pixels:
    """Pixels of n images in one (total, 3 or 4) uint8 tensor; sizes may differ.

    Args:
        images: (h, w, 3 or 4) uint8 each. If one has alpha, opaque alpha is added to the others.
        device: where the pixels live and are drawn.
    """

    def __init__(self, images: list[Tensor], device: torch.device) -> None:
        self.has_alpha = any(image.shape[-1] == 4 for image in images)
        flat = [image.reshape(-1, image.shape[-1]) for image in images]
        if self.has_alpha:
            flat = [torch.cat([f, torch.full_like(f[:, :1], 255)], 1) if f.shape[1] == 3 else f for f in flat]
        self.values = torch.cat(flat).to(device)
        self.ends = torch.tensor([len(f) for f in flat], device=device).cumsum(0)
        self.widths = torch.tensor([image.shape[1] for image in images], device=device)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Draw pixels uniformly, with replacement.

        Returns:
            image index (m,) int64, image coordinates of the pixel centres (m, 2) float32,
            and values (m, 3 or 4) float32 in [0, 1].
        """
        chosen = torch.randint(len(self.values), (count,), generator=generator, device=self.values.device)
        image = torch.searchsorted(self.ends, chosen, right=True)
        within = chosen - torch.where(image > 0, self.ends[image - 1], 0)
        width = self.widths[image]
        centres = torch.stack([within % width, within // width], dim=-1).float() + 0.5
        return image, centres, self.values[chosen].float() / 255


def over(values: Tensor, background: Tensor) -> Tensor:
    """Composite (…, 3 or 4) values over a background colour; RGB values are opaque."""
    if values.shape[-1] == 3:
        return values
    alpha = values[..., 3:]
    return values[..., :3] * alpha + background * (1 - alpha)
