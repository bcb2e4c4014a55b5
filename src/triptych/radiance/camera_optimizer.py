"""What calibration got slightly wrong, learnt along with the field: poses and exposures of the images."""

import torch
from torch import Tensor, nn

from triptych.radiance.embedding_rows import rows_of
from triptych.scenes.cameras import Cameras

POSE_RATE, EXPOSURE_RATE = 0.1, 1.0  # of the field's learning rate
KEPT = 1e-3  # pull towards the given poses and equal exposures


def turn(directions: Tensor, axis_angle: Tensor) -> Tensor:
    """Rotate (n, 3) directions by (n, 3) axis-angle vectors (Rodrigues), differentiable also at no turn."""
    squared = axis_angle.square().sum(dim=-1, keepdim=True)
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    versine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / safe)
    across = torch.linalg.cross(axis_angle, directions)
    return directions + sine * across + versine * torch.linalg.cross(axis_angle, across)


class Corrections(nn.Module):
    """A small turn, shift and gain for each image, all zero at first.

    Args:
        images: how many.
        poses: whether cameras are turned and shifted.
        exposure: whether colours are scaled, channel by channel. The first image is the norm and
            keeps its exposure, since otherwise field and gains could drift together.
    """

    def __init__(self, images: int, *, poses: bool, exposure: bool) -> None:
        super().__init__()
        self.turns = nn.Parameter(torch.zeros(images, 3)) if poses else None
        self.shifts = nn.Parameter(torch.zeros(images, 3)) if poses else None
        self.gains = nn.Parameter(torch.zeros(images, 3)) if exposure else None

    def rays(self, cameras: Cameras, image: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """As `Cameras.rays`, from corrected poses."""
        origins, directions = cameras.rays(image, pixels)
        if self.turns is None or self.shifts is None:
            return origins, directions
        return origins + rows_of(self.shifts, image), turn(directions, rows_of(self.turns, image))

    def expose(self, colour: Tensor, image: Tensor) -> Tensor:
        """Scale (n, 3) colours, not yet over a background, by the exposure of their images."""
        if self.gains is None:
            return colour
        return colour * torch.exp(torch.where((image > 0)[:, None], rows_of(self.gains, image), 0.0))

    def optimizer(self) -> torch.optim.Adam | None:
        """Adam for what is corrected, whose groups know their share of the field's learning rate."""
        groups = [
            {"params": [value], "share": share}
            for value, share in (
                (self.turns, POSE_RATE),
                (self.shifts, POSE_RATE),
                (self.gains, EXPOSURE_RATE),
            )
            if value is not None
        ]
        return torch.optim.Adam(groups, weight_decay=KEPT * 1e-3) if groups else None
