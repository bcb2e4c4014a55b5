"""Between the coordinates of transforms.json and those of the unit cube."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.transforms_file import read_transforms

Array = NDArray[np.float64]

# OpenGL's camera axes (x right, y up, z backward) in OpenCV's (x right, y down, z forward), and back.
FLIP_YZ = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class World:
    """World positions times `scale` plus `offset` lie in the unit cube; axes are parallel.

    Attributes:
        scale: unit cubes a world unit.
        offset: (3,) where the world's origin lies in the unit cube.
    """

    scale: float
    offset: Array

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


def read_world(transforms: Path) -> World:
    """The world of a scene; its transforms.json may override the usual scale and offset.

    Raises:
        TriptychError: the file is missing or malformed.
    """
    content = read_transforms(transforms)
    return World(content.scale, np.array(content.offset))
