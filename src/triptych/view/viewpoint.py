"""Where a viewer stands and looks: the rays of the picture that it wants."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Viewpoint:
    """A camera without distortion, of any resolution.

    Attributes:
        rotation: (3, 3) camera axes (OpenCV: x right, y down, z forward) as columns.
        position: (3,) in unit-cube coordinates.
        fov: vertical field of view in radians.
        canvas: width and height in pixels of where the picture is shown.
    """

    rotation: NDArray[np.float64]
    position: NDArray[np.float64]
    fov: float
    canvas: tuple[int, int]

    def rays(
        self, size: tuple[int, int], rows: tuple[int, int], device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Rays through the pixel centres of some rows of a picture, row by row.

        Args:
            size: width and height of the whole picture; it fills the canvas.
            rows: the first, and the one after the last.
            device: where the rays are wanted.

        Returns:
            Origins and unit directions in the unit cube, (n, 3) float32 each.
        """
        width, height = size
        half = math.tan(self.fov / 2)
        across = half * self.canvas[0] / self.canvas[1]
        x = ((torch.arange(width, device=device) + 0.5) * (2 / width) - 1) * across
        y = ((torch.arange(*rows, device=device) + 0.5) * (2 / height) - 1) * half
        columns = torch.from_numpy(self.rotation).float().to(device).unbind(dim=1)
        directions = y[:, None, None] * columns[1] + (x[:, None] * columns[0] + columns[2])
        directions = (directions / directions.norm(dim=-1, keepdim=True)).view(-1, 3)
        origin = torch.from_numpy(self.position).float().to(device)
        return origin.expand(len(directions), 3).contiguous(), directions
