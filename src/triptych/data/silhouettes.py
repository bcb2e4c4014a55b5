"""Ten plane figures, as functions that are negative inside and positive outside.

Each takes coordinates x and y of any (equal) shape and returns an array of that shape. The
figures fill about the unit circle, y points down, and the values near the outline are roughly distances.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]


def _box(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def circle(x: Field, y: Field) -> Field:
    """A disc."""
    return np.hypot(x, y) - np.float32(0.8)


def ring(x: Field, y: Field) -> Field:
    """A disc with a hole."""
    return np.abs(np.hypot(x, y) - np.float32(0.66)) - np.float32(0.2)


def square(x: Field, y: Field) -> Field:
    """A square; shear and perspective make it any convex quadrilateral."""
    return _box(x, y, 0.72, 0.72)


def triangle(x: Field, y: Field) -> Field:
    """An equilateral triangle, the intersection of three half-planes."""
    slanted = np.abs(x) * np.float32(np.sqrt(3) / 2) - y * np.float32(0.5)
    return np.maximum(slanted, y) - np.float32(0.48)


def star(x: Field, y: Field) -> Field:
    """A five-pointed star: one edge from tip to notch, mirrored and turned ten times."""
    sector = np.float32(2 * np.pi / 5)
    angle = np.abs(np.mod(np.arctan2(x, -y) + sector / 2, sector) - sector / 2)
    radius = np.hypot(x, y)
    tip, notch = np.array([1.0, 0.0]), 0.42 * np.array([np.cos(np.pi / 5), np.sin(np.pi / 5)])
    along = (notch - tip) / np.linalg.norm(notch - tip)
    return radius * (
        np.cos(angle) * np.float32(along[1]) - np.sin(angle) * np.float32(along[0])
    ) - np.float32(tip[0] * along[1] - tip[1] * along[0])


def cross(x: Field, y: Field) -> Field:
    """Two crossed bars."""
    return np.minimum(_box(x, y, 0.9, 0.27), _box(x, y, 0.27, 0.9))


def crescent(x: Field, y: Field) -> Field:
    """A disc from which a shifted one is cut out."""
    return np.maximum(np.hypot(x, y) - np.float32(0.9), np.float32(0.74) - np.hypot(x - np.float32(0.46), y))


def heart(x: Field, y: Field) -> Field:
    """A square on its corner with a disc on each of its two upper sides."""
    side = np.float32(0.52)
    tilted = (np.abs(x) + np.abs(y - np.float32(0.1))) * np.float32(np.sqrt(0.5)) - side
    centre = side * np.float32(np.sqrt(0.5))
    return np.minimum(tilted, np.hypot(np.abs(x) - centre, y - np.float32(0.1) + centre) - side)


def arrow(x: Field, y: Field) -> Field:
    """A triangular head on a shaft."""
    head = np.maximum((np.abs(x) - y - np.float32(0.95)) * np.float32(np.sqrt(0.5)), y - np.float32(-0.12))
    return np.minimum(head, _box(x, y - np.float32(0.3), 0.24, 0.62))


def hourglass(x: Field, y: Field) -> Field:
    """Two triangles that meet at a narrow waist."""
    return np.maximum(
        (np.abs(x) - np.abs(y) - np.float32(0.06)) * np.float32(np.sqrt(0.5)), _box(x, y, 1, 0.8)
    )


SILHOUETTES: dict[str, Callable[[Field, Field], Field]] = {
    "circle": circle,
    "ring": ring,
    "square": square,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "crescent": crescent,
    "heart": heart,
    "arrow": arrow,
    "hourglass": hourglass,
}
