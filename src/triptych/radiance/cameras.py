"""Calibrated cameras: pixels to rays and points to pixels, with OPENCV lens distortion.

Image axes: x right, y down, in pixels; the first pixel's centre is at (0.5, 0.5). Camera axes
follow OpenCV (x right, y down, z forward). Poses map camera axes to the unit-cube coordinates
of the field.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

NEWTON_STEPS = 8


def distort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Apply the OPENCV model (Brown 1966: two radial, two tangential terms).

    Args:
        points: (n, 2) ideal image coordinates x/z, y/z.
        coefficients: (n, 4) or (4,): k1, k2, p1, p2.

    Returns:
        (n, 2) distorted coordinates, before focal length and principal point.
    """
    x, y = points.unbind(-1)
    k1, k2, p1, p2 = coefficients.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ],
        dim=-1,
    )


def undistort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Invert `distort` by Newton's method, which has no closed form.

    Converges wherever the distortion is one-to-one, as it is inside a calibrated image.
    """
    k1, k2, p1, p2 = coefficients.unbind(-1)
    ideal = points
    for _ in range(NEWTON_STEPS):
        x, y = ideal.unbind(-1)
        r2 = x * x + y * y
        radial, slope = 1 + r2 * (k1 + r2 * k2), k1 + 2 * k2 * r2
        jxx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        jyy = radial + 2 * y * y * slope + 2 * p2 * x + 6 * p1 * y
        jxy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y  # the Jacobian is symmetric
        ex, ey = (distort(ideal, coefficients) - points).unbind(-1)
        determinant = jxx * jyy - jxy * jxy
        ideal = (
            ideal - torch.stack([jyy * ex - jxy * ey, jxx * ey - jxy * ex], dim=-1) / determinant[..., None]
        )
    return ideal


@dataclass(frozen=True)
class Cameras:
    """n cameras; every tensor has n rows and the same floating-point type.

    Attributes:
        focal: (n, 2) focal lengths in pixels.
        centre: (n, 2) principal points in pixels.
        distortion: (n, 4) k1, k2, p1, p2.
        rotation: (n, 3, 3) camera axes as columns, in unit-cube coordinates.
        position: (n, 3) optical centres, in unit-cube coordinates.
        size: (n, 2) int64 width and height in pixels.
    """

    focal: Tensor
    centre: Tensor
    distortion: Tensor
    rotation: Tensor
    position: Tensor
    size: Tensor

    def __len__(self) -> int:
        return self.focal.shape[0]

    def select(self, index: Tensor | list[int]) -> "Cameras":
        """The cameras at these positions."""
        return Cameras(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(self, device: torch.device | str) -> "Cameras":
        """The same cameras on another device."""
        return Cameras(*(getattr(self, field.name).to(device) for field in fields(self)))

    def rays(self, index: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Rays through image points.

        Args:
            index: (m,) int64, which camera.
            pixels: (m, 2) image coordinates, `.5` at pixel centres.

        Returns:
            Origins and unit directions, (m, 3) each.
        """
        plane = undistort((pixels - self.centre[index]) / self.focal[index], self.distortion[index])
        local = torch.cat([plane, torch.ones_like(plane[:, :1])], dim=-1)
        directions = torch.einsum("mij,mj->mi", self.rotation[index], local)
        return self.position[index], directions / directions.norm(dim=-1, keepdim=True)

    def image_rays(self, index: int) -> tuple[Tensor, Tensor]:
        """Rays through all pixel centres of one image, row by row: (h·w, 3) each."""
        width, height = self.size[index].tolist()
        device = self.focal.device
        ys, xs = torch.meshgrid(
            torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij"
        )
        pixels = torch.stack([xs, ys], dim=-1).reshape(-1, 2).to(self.focal.dtype) + 0.5
        return self.rays(torch.full((len(pixels),), index, device=device), pixels)

    def project(self, index: int, points: Tensor) -> tuple[Tensor, Tensor]:
        """Image coordinates (m, 2) and depth along the optical axis (m,) of points (m, 3)."""
        local = (points - self.position[index]) @ self.rotation[index]
        plane = distort(local[:, :2] / local[:, 2:], self.distortion[index])
        return plane * self.focal[index] + self.centre[index], local[:, 2]
