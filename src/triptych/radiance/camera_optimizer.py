"""Camera optimizer: pose and exposure corrections of the training images, learned with the field."""

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from triptych.scenes.cameras import Cameras

POSE_LR_SCALE, EXPOSURE_LR_SCALE = 0.1, 1.0  # factors on the field's learning rate
WEIGHT_DECAY = 1e-6  # towards the given poses and equal exposures


def rotate(directions: Tensor, axis_angle: Tensor) -> Tensor:
    """Rotate (n, 3) directions by (n, 3) axis-angle vectors (Rodrigues); differentiable at angle 0, too."""
    squared = axis_angle.square().sum(dim=-1, keepdim=True)
    small = squared < 1e-8
    safe = torch.where(small, torch.ones_like(squared), squared)
    angle = safe.sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    versine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / safe)
    across = torch.linalg.cross(axis_angle, directions)
    return directions + sine * across + versine * torch.linalg.cross(axis_angle, across)


class CameraOptimizer(nn.Module):
    """A small rotation, translation and log exposure for each image, all zero at first.

    With `poses` cameras are rotated and translated, with `exposure` colours are scaled, channel by channel.
    The first image keeps its exposure as the reference, since otherwise field and exposures could drift
    together.
    """

    def __init__(self, images: int, *, poses: bool, exposure: bool) -> None:
        super().__init__()
        self.rotations = nn.Parameter(torch.zeros(images, 3)) if poses else None
        self.translations = nn.Parameter(torch.zeros(images, 3)) if poses else None
        self.exposures = nn.Parameter(torch.zeros(images, 3)) if exposure else None

    def rays(self, cameras: Cameras, image: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Like `Cameras.rays`, from corrected poses."""
        origins, directions = cameras.rays(image, pixels)
        if self.rotations is None or self.translations is None:
            return origins, directions
        origins = origins + embedding(image, self.translations)
        return origins, rotate(directions, embedding(image, self.rotations))

    def expose(self, colour: Tensor, image: Tensor) -> Tensor:
        """Scale (n, 3) colours without background by the exposure of their images."""
        if self.exposures is None:
            return colour
        log_exposure = torch.where((image > 0)[:, None], embedding(image, self.exposures), 0.0)
        return colour * torch.exp(log_exposure)

    def optimizer(self) -> torch.optim.Adam | None:
        """Adam for the corrections, whose groups have an `lr_scale`; None if nothing is corrected."""
        corrections = (
            (self.rotations, POSE_LR_SCALE),
            (self.translations, POSE_LR_SCALE),
            (self.exposures, EXPOSURE_LR_SCALE),
        )
        groups = [{"params": [each], "lr_scale": scale} for each, scale in corrections if each is not None]
        return torch.optim.Adam(groups, weight_decay=WEIGHT_DECAY) if groups else None
