"""Textured surfaces that rays can hit: the parts of the still life that the orbit film shows.

Points and directions are stored as (3, rays) float32, so that each coordinate is contiguous; +z is up.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Rays = NDArray[np.float32]
Vector = tuple[float, float, float]

GROUND = -1.0
DOME_RADIUS = 5.5
MISS = np.float32(np.inf)
# Shadow rays start this far from the surface, so that rounding does not let it shade itself.
LIFT = 1e-3


@dataclass(frozen=True)
class Texture:
    """A picture laid on a surface: (height, width, 3) float32 texels in 0..1, `density` of them per unit."""

    texels: NDArray[np.float32]
    density: float

    def at(self, u: NDArray[Any], v: NDArray[Any]) -> NDArray[np.float32]:
        """(rays, 3) bilinear colours at surface coordinates in world units; wraps around."""
        height, width = self.texels.shape[:2]
        x, y = u * np.float32(self.density), v * np.float32(self.density)
        left, top = np.floor(x), np.floor(y)
        fx, fy = (x - left)[:, None], (y - top)[:, None]
        x0, y0 = left.astype(np.int32) % width, top.astype(np.int32) % height
        x1, y1 = (x0 + 1) % width, (y0 + 1) % height
        flat = self.texels.reshape(-1, 3)
        a, b = flat.take(y0 * width + x0, axis=0), flat.take(y0 * width + x1, axis=0)
        c, d = flat.take(y1 * width + x0, axis=0), flat.take(y1 * width + x1, axis=0)
        upper = a + (b - a) * fx
        return np.asarray(upper + (c + (d - c) * fx - upper) * fy, np.float32)


class Surface(Protocol):
    """A surface that rays can hit.

    Rays have an origin (3, rays) or (3, 1) and a direction (3, rays) of length 1.
    """

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """(rays,) distance to the first hit in front, infinity for a miss."""

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """Outward normals (3, rays) and colours (rays, 3) at points (3, rays) on the surface."""


def _column(vector: Vector) -> Rays:
    return np.array(vector, np.float32)[:, None]


def _roots(a: Rays, b: Rays, c: Rays) -> tuple[Rays, Rays]:
    """Both solutions of a t^2 + 2 b t + c = 0, NaN if there are none."""
    root = np.sqrt(b * b - a * c)
    return (-b - root) / a, (-b + root) / a


@dataclass(frozen=True)
class Sphere:
    """A ball, or a dome that is visible from inside."""

    centre: Vector
    radius: float
    texture: Texture
    inside: bool = False

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """See `Surface`."""
        offset = origin - _column(self.centre)
        along = np.sum(offset * direction, axis=0)
        near, far = _roots(np.ones_like(along), along, np.sum(offset * offset, axis=0) - self.radius**2)
        t = far if self.inside else near
        return np.where(t > LIFT, t, MISS)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """See `Surface`."""
        normal = (point - _column(self.centre)) / np.float32(self.radius)
        azimuth = np.arctan2(normal[1], normal[0])
        u = (-azimuth if self.inside else azimuth) * self.radius
        v = np.arccos(np.clip(normal[2], -1, 1)) * self.radius
        return normal, self.texture.at(u, v)


@dataclass(frozen=True)
class Box:
    """A box with half sides `half`, turned by `angle` radians about the vertical.

    The texture is a row of six squares, one for each face, upright and as wide as the box's longest side.
    """

    centre: Vector
    half: Vector
    angle: float
    texture: Texture

    def _rotate(self, vectors: Rays, sign: int) -> Rays:
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle)) * sign
        x, y, z = vectors
        return np.stack([cos * x - sin * y, sin * x + cos * y, z])

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """See `Surface`; by the slab method."""
        start = self._rotate(origin - _column(self.centre), -1)
        step = 1 / self._rotate(direction, -1)
        reach = np.abs(step) * _column(self.half)
        enter = np.max(-start * step - reach, axis=0)
        leave = np.min(-start * step + reach, axis=0)
        return np.where((enter < leave) & (enter > LIFT), enter, MISS)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """See `Surface`."""
        local = self._rotate(point - _column(self.centre), -1)
        axis = np.argmax(np.abs(local) / _column(self.half), axis=0)
        side = np.sign(np.take_along_axis(local, axis[None], axis=0)[0])
        normal = np.zeros_like(local)
        np.put_along_axis(normal, axis[None], side[None], axis=0)
        reach = max(self.half)
        piece = (2 * axis + (side > 0)) * 2 * reach
        rightwards = np.where(axis == 0, side * local[1], np.where(axis == 1, -side * local[0], local[0]))
        downwards = np.where(axis == 2, -local[1], -local[2])
        u, v = piece + rightwards + reach, downwards + reach
        return self._rotate(normal, 1), self.texture.at(u, v)


@dataclass(frozen=True)
class Pillar:
    """An upright cylinder from the ground to `top`."""

    radius: float
    top: float
    texture: Texture

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """See `Surface`; wall and lid from outside."""
        (ox, oy, oz), (dx, dy, dz) = origin, direction
        wall, _ = _roots(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - self.radius**2)
        height = oz + wall * dz
        wall = np.where((wall > LIFT) & (height <= self.top) & (height >= GROUND), wall, MISS)
        lid = (self.top - oz) / dz
        across = (ox + lid * dx) ** 2 + (oy + lid * dy) ** 2
        return np.minimum(wall, np.where((lid > LIFT) & (across <= self.radius**2), lid, MISS))

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """See `Surface`; lid and wall show different parts of the texture."""
        x, y, z = point
        lid = z > self.top - LIFT
        normal = np.where(lid, _column((0, 0, 1)), np.stack([x, y, 0 * z]) / self.radius)
        u = np.where(lid, x, np.arctan2(y, x) * self.radius)
        v = np.where(lid, y + 1.5 * self.radius, 3.2 * self.radius + z - GROUND)
        return normal.astype(np.float32), self.texture.at(u, v)


@dataclass(frozen=True)
class Ground:
    """The floor of the dome."""

    texture: Texture

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """See `Surface`."""
        t = (GROUND - origin[2]) / direction[2]
        return np.where(t > LIFT, t, MISS)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """See `Surface`."""
        normal = np.zeros_like(point)
        normal[2] = 1
        return normal, self.texture.at(point[0] + DOME_RADIUS, point[1] + DOME_RADIUS)
