"""Ten plane figures, as functions that are negative inside and positive outside.

Each maps coordinates x and y of any (equal) shape to an array of that shape and type. The figures fill
about the unit circle, y points down, and the values near the outline are roughly distances.
"""

from collections.abc import Callable
from math import cos, pi, sin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]

# Python's floats have no type of their own in NumPy: float32 coordinates give float32 fields.
NOTCH = 0.42 * cos(pi / 5), 0.42 * sin(pi / 5)  # a notch of the star; its tips lie on the unit circle


def _box(x: Field, y: Field, half_width: float, half_height: float) -> Field:
    return np.maximum(np.abs(x) - half_width, np.abs(y) - half_height)


def circle(x: Field, y: Field) -> Field:
    """A disc."""
    return np.hypot(x, y) - 0.8


def ring(x: Field, y: Field) -> Field:
    """A disc with a hole."""
    return np.abs(np.hypot(x, y) - 0.66) - 0.2


def square(x: Field, y: Field) -> Field:
    """A square; shear and perspective make it any convex quadrilateral."""
    return _box(x, y, 0.72, 0.72)


def triangle(x: Field, y: Field) -> Field:
    """An equilateral triangle, the intersection of three half-planes."""
    return np.maximum(np.abs(x) * (sqrt(3) / 2) - y * 0.5, y) - 0.48


def star(x: Field, y: Field) -> Field:
    """A five-pointed star: one edge from tip to notch, mirrored and turned ten times."""
    sector = 2 * pi / 5
    angle = np.abs(np.mod(np.arctan2(x, -y) + sector / 2, sector) - sector / 2)
    length = np.linalg.norm((NOTCH[0] - 1, NOTCH[1])).item()
    along_x, along_y = (NOTCH[0] - 1) / length, NOTCH[1] / length
    return np.hypot(x, y) * (np.cos(angle) * along_y - np.sin(angle) * along_x) - along_y


def cross(x: Field, y: Field) -> Field:
    """Two crossed bars."""
    return np.minimum(_box(x, y, 0.9, 0.27), _box(x, y, 0.27, 0.9))


def crescent(x: Field, y: Field) -> Field:
    """A disc from which a shifted one is cut out."""
    return np.maximum(np.hypot(x, y) - 0.9, 0.74 - np.hypot(x - 0.46, y))


def heart(x: Field, y: Field) -> Field:
    """A square on its corner with a disc on each of its two upper sides."""
    side = 0.52
    square = (np.abs(x) + np.abs(y - 0.1)) * sqrt(0.5) - side
    centre = side * sqrt(0.5)
    return np.minimum(square, np.hypot(np.abs(x) - centre, y - 0.1 + centre) - side)


def arrow(x: Field, y: Field) -> Field:
    """A triangular head on a shaft."""
    head = np.maximum((np.abs(x) - y - 0.95) * sqrt(0.5), y + 0.12)
    return np.minimum(head, _box(x, y - 0.3, 0.24, 0.62))


def hourglass(x: Field, y: Field) -> Field:
    """Two triangles that meet at a narrow waist."""
    return np.maximum((np.abs(x) - np.abs(y) - 0.06) * sqrt(0.5), _box(x, y, 1, 0.8))


FIGURES = (circle, ring, square, triangle, star, cross, crescent, heart, arrow, hourglass)
SILHOUETTES: dict[str, Callable[[Field, Field], Field]] = {figure.__name__: figure for figure in FIGURES}
