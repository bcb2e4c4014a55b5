"""Conversion between the coordinates of a scene file and the unit cube of radiance fields."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# instant-ngp's convention: world positions times SCALE plus OFFSET lie in the unit cube.
SCALE = 0.33
OFFSET = 0.5
# OpenGL's camera axes (x right, y up, z backward) in OpenCV's (x right, y down, z forward), and back.
FLIP_YZ = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class World:
    """World positions times `scale` plus `offset` lie in the unit cube; axes are parallel."""

    scale: float  # unit cubes per world unit
    offset: Array  # (3,) the world's origin in the unit cube

    def to_cube(self, points: Array) -> Array:
        """Unit-cube coordinates of world points (..., 3)."""
        return np.asarray(points * self.scale + self.offset)

    def from_cube(self, points: Array) -> Array:
        """World coordinates of unit-cube points (..., 3)."""
        return np.asarray((points - self.offset) / self.scale)

    def pose(self, rotation: Array, position: Array) -> Array:
        """A transform_matrix (4, 4), OpenGL axes, of a camera with OpenCV axes at a unit-cube position."""
        matrix = np.eye(4)
        matrix[:3, :3] = rotation * FLIP_YZ
        matrix[:3, 3] = self.from_cube(position)
        return matrix

    def camera(self, pose: Array) -> tuple[Array, Array]:
        """The inverse of `pose`: rotation (3, 3) with OpenCV axes and position (3,) in the unit cube."""
        return pose[:3, :3] * FLIP_YZ, self.to_cube(pose[:3, 3])
