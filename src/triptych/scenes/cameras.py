"""Calibrated cameras: pixels to rays and points to pixels.

Image axes: x right, y down, in pixels; the first pixel's centre is at (0.5, 0.5). Camera axes
follow OpenCV (x right, y down, z forward). Poses map camera axes to the unit-cube coordinates
of the field.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from triptych.scenes.lenses import distort, fisheye_distort, fisheye_undistort, undistort


@dataclass(frozen=True)
class Cameras:
    """n cameras; every tensor has n rows and the same floating-point type."""

    focal: Tensor  # (n, 2) focal lengths in pixels (fisheye: pixels per radian at the centre)
    centre: Tensor  # (n, 2) principal points in pixels
    distortion: Tensor  # (n, 4) k1, k2, p1, p2 of OPENCV lenses, k1, k2, k3, k4 of fisheyes
    rotation: Tensor  # (n, 3, 3) camera axes as columns, in unit-cube coordinates
    position: Tensor  # (n, 3) optical centres, in unit-cube coordinates
    size: Tensor  # (n, 2) int64 width and height in pixels
    fisheye: Tensor | None = None  # (n,) bool, whether each lens is a fisheye; None if none is

    def __len__(self) -> int:
        return self.focal.shape[0]

    def select(self, index: Tensor | list[int]) -> "Cameras":
        """The cameras at these positions."""
        return self._each(lambda value: value[index])

    def to(self, device: torch.device | str) -> "Cameras":
        """The same cameras on another device."""
        return self._each(lambda value: value.to(device))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "Cameras":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: change(value) for name, value in values.items() if value is not None})

    def local_directions(self, index: Tensor, pixels: Tensor) -> Tensor:
        """Directions (m, 3) in camera axes, of any length, through image points; arguments as for `rays`."""
        plane = (pixels - self.centre[index]) / self.focal[index]
        coefficients = self.distortion[index]
        if self.fisheye is not None and self.fisheye.all():
            return fisheye_undistort(plane, coefficients)
        ideal = undistort(plane, coefficients)
        local = torch.cat([ideal, torch.ones_like(ideal[:, :1])], dim=-1)
        if self.fisheye is None:
            return local
        return torch.where(self.fisheye[index][:, None], fisheye_undistort(plane, coefficients), local)

    def rays(self, index: Tensor, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Origins and unit directions, (m, 3) each, of rays through image points (m, 2), `.5` at pixel
        centres.
        """
        local = self.local_directions(index, pixels)
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
        """Image coordinates (m, 2) and depth along the optical axis (m,) of points (m, 3).

        A fisheye may see points of negative depth; for other lenses their coordinates are meaningless.
        """
        local = (points - self.position[index]) @ self.rotation[index]
        if self.fisheye is not None and self.fisheye[index]:
            plane = fisheye_distort(local, self.distortion[index])
        else:
            plane = distort(local[:, :2] / local[:, 2:], self.distortion[index])
        return plane * self.focal[index] + self.centre[index], local[:, 2]
