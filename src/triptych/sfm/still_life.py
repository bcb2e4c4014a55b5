"""A small textured world that can be filmed: a still life on a pedestal inside a painted dome.

Everything is matt and covered with irregular chips of colour, so that SIFT finds the same
spots from all sides, and bounded, so that a radiance field can hold all that is seen.
Lengths are in units of which the camera keeps about 4 from the origin; +z is up.
Points and directions are stored as (3, rays) float32, so that each coordinate is contiguous.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from triptych.workflow.seeds import numpy_generator

Rays = NDArray[np.float32]
Vector = tuple[float, float, float]

GROUND = -1.0
DOME_RADIUS = 5.5
LIGHT: Rays = np.array([[0.45], [-0.35], [0.82]], np.float32) / np.float32(
    np.linalg.norm([0.45, -0.35, 0.82])
)
AMBIENT = 0.55
NEVER = np.float32(np.inf)
# Shadow rays start this far off the surface, or rounding would let it shade itself.
LIFT = 1e-3


@dataclass(frozen=True)
class Texture:
    """A picture laid on a surface; `texels` (height, width, 3) float32 in 0..1, `density` a unit."""

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


def terrazzo(
    rng: np.random.Generator, *, size: tuple[float, float], density: float, base: Vector, chip: float
) -> Texture:
    """Soft mottling under irregular chips of colour.

    Args:
        rng: decides mottling and chips.
        size: width and height in world units.
        density: texels a unit; about one texel a pixel looks best.
        base: the ground colour, 0..255.
        chip: the chips' mean radius in world units.
    """
    width, height = (max(8, round(side * density)) for side in size)
    canvas = np.zeros((height, width), np.float32)
    for octave in range(4):
        cells = rng.random((3 * 2**octave + 2, 3 * 2**octave + 2)).astype(np.float32)
        mottle = Image.fromarray(cells).resize((width, height), Image.Resampling.BICUBIC)
        canvas += np.asarray(mottle) / 2**octave
    canvas = 0.6 + 0.4 * (canvas - canvas.min()) / np.ptp(canvas)
    ground = canvas[..., None] * np.array(base, np.float32)

    oversampling = 2  # PIL draws hard edges; halving the picture afterwards smooths them
    big = (width * oversampling, height * oversampling)
    image = Image.fromarray(ground.astype(np.uint8)).resize(big, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    for _ in range(int(0.9 * size[0] * size[1] / (np.pi * chip**2))):
        x, y = rng.random(2) * big
        radius = chip * density * oversampling * rng.lognormal(-0.3, 0.6)
        turns = np.sort(rng.random(rng.integers(4, 8))) * 2 * np.pi
        reach = radius * (0.7 + 0.6 * rng.random(turns.size))
        corners = np.stack([x + reach * np.cos(turns), y + reach * np.sin(turns)], axis=1)
        colour = tuple(int(value) for value in np.clip(rng.normal(base, 70), 10, 250))
        draw.polygon([tuple(corner) for corner in corners], fill=colour)
    small = image.resize((width, height), Image.Resampling.BOX)
    return Texture(np.asarray(small, np.float32) / np.float32(255), density)


def _roots(a: Rays, b: Rays, c: Rays) -> tuple[Rays, Rays]:
    """Both solutions of a t^2 + 2 b t + c = 0, NaN where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        root = np.sqrt(b * b - a * c)
        return (-b - root) / a, (-b + root) / a


@dataclass(frozen=True)
class Sphere:
    """A ball; seen from inside it is the dome."""

    centre: Vector
    radius: float
    texture: Texture
    inside: bool = False

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """(rays,) distance to the first hit in front, infinity for a miss."""
        offset = origin - np.array(self.centre, np.float32)[:, None]
        along = np.sum(offset * direction, axis=0)
        near, far = _roots(np.ones_like(along), along, np.sum(offset * offset, axis=0) - self.radius**2)
        t = far if self.inside else near
        return np.where(t > LIFT, t, NEVER)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """Outward normals (3, rays) and colours (rays, 3) at points on the surface."""
        normal = (point - np.array(self.centre, np.float32)[:, None]) / np.float32(self.radius)
        u = np.arctan2(normal[1], normal[0]) * self.radius
        v = np.arccos(np.clip(normal[2], -1, 1)) * self.radius
        return normal, self.texture.at(u, v)


@dataclass(frozen=True)
class Box:
    """A box with half sides `half`, turned by `turn` radians about the vertical."""

    centre: Vector
    half: Vector
    turn: float
    texture: Texture

    def _local(self, vectors: Rays) -> Rays:
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        x, y, z = vectors
        return np.stack([cos * x + sin * y, cos * y - sin * x, z])

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """(rays,) distance to the first hit in front, infinity for a miss (slab method)."""
        start = self._local(origin - np.array(self.centre, np.float32)[:, None])
        with np.errstate(divide="ignore", invalid="ignore"):
            step = 1 / self._local(direction)
            reach = np.abs(step) * np.array(self.half, np.float32)[:, None]
            enter = np.max(-start * step - reach, axis=0)
            leave = np.min(-start * step + reach, axis=0)
            return np.where((enter < leave) & (enter > LIFT), enter, NEVER)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """Outward normals (3, rays) and colours (rays, 3) at points on the surface."""
        local = self._local(point - np.array(self.centre, np.float32)[:, None])
        axis = np.argmax(np.abs(local) / np.array(self.half, np.float32)[:, None], axis=0)
        side = np.sign(np.take_along_axis(local, axis[None], axis=0)[0])
        flat = np.zeros_like(local)
        np.put_along_axis(flat, axis[None], side[None], axis=0)
        cos, sin = np.float32(np.cos(self.turn)), np.float32(np.sin(self.turn))
        normal = np.stack([cos * flat[0] - sin * flat[1], sin * flat[0] + cos * flat[1], flat[2]])
        # Every face gets its own piece of the texture: equal faces would be mistaken for one another.
        piece = (2 * axis + (side > 0)) * 1.7
        u = np.where(axis == 0, local[1], local[0]) + piece
        v = np.where(axis == 2, local[1], local[2]) + self.half[2]
        return normal, self.texture.at(u, v)


@dataclass(frozen=True)
class Pillar:
    """An upright cylinder from the ground to `top`."""

    radius: float
    top: float
    texture: Texture

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """(rays,) distance to the first hit of wall or lid from outside, infinity for a miss."""
        (ox, oy, oz), (dx, dy, dz) = origin, direction
        wall, _ = _roots(dx * dx + dy * dy, ox * dx + oy * dy, ox * ox + oy * oy - self.radius**2)
        height = oz + wall * dz
        wall = np.where((wall > LIFT) & (height <= self.top) & (height >= GROUND), wall, NEVER)
        with np.errstate(divide="ignore", invalid="ignore"):
            lid = (self.top - oz) / dz
            across = (ox + lid * dx) ** 2 + (oy + lid * dy) ** 2
        return np.minimum(wall, np.where((lid > LIFT) & (across <= self.radius**2), lid, NEVER))

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """Outward normals (3, rays) and colours (rays, 3) at points on the surface."""
        x, y, z = point
        lid = z > self.top - LIFT
        normal = np.where(lid, np.array([[0], [0], [1]], np.float32), np.stack([x, y, 0 * z]) / self.radius)
        u = np.where(lid, x, np.arctan2(y, x) * self.radius)
        # Lid and wall use different parts of the picture.
        v = np.where(lid, y + 1.5 * self.radius, 3.2 * self.radius + z - GROUND)
        return normal.astype(np.float32), self.texture.at(u, v)


@dataclass(frozen=True)
class Ground:
    """The floor of the dome."""

    texture: Texture

    def distance(self, origin: Rays, direction: Rays) -> Rays:
        """(rays,) distance to the floor, infinity for a miss."""
        with np.errstate(divide="ignore", invalid="ignore"):
            t = (GROUND - origin[2]) / direction[2]
        return np.where(t > LIFT, t, NEVER)

    def surface(self, point: Rays) -> tuple[Rays, NDArray[np.float32]]:
        """Normals (3, rays) and colours (rays, 3) at points on the floor."""
        normal = np.zeros_like(point)
        normal[2] = 1
        return normal, self.texture.at(point[0] + DOME_RADIUS, point[1] + DOME_RADIUS)


Thing = Sphere | Box | Pillar | Ground


@dataclass(frozen=True)
class World:
    """The still life, which casts shadows on itself and on the ground, inside a dome that shines."""

    solids: list[Thing]
    ground: Ground
    dome: Sphere


def still_life(seed: int, *, density: float) -> World:
    """The world for a seed; `density` is the number of texels a unit on the things in the middle."""
    paint = {
        name: terrazzo(
            numpy_generator("world", name, seed), size=size, density=density * share, base=base, chip=chip
        )
        for name, size, share, base, chip in (
            ("cube", (10.2, 1.4), 1.0, (214.0, 120.0, 60.0), 0.055),
            ("ball", (3.0, 1.3), 1.0, (70.0, 150.0, 160.0), 0.05),
            ("marble", (2.0, 1.0), 1.0, (190.0, 60.0, 80.0), 0.04),
            ("tower", (10.2, 1.2), 1.0, (90.0, 110.0, 190.0), 0.045),
            ("pillar", (7.6, 4.6), 1.0, (205.0, 195.0, 175.0), 0.05),
            ("ground", (11.0, 11.0), 0.8, (120.0, 140.0, 105.0), 0.09),
            # Twice as far away, half the texels; chips large enough to be seen from there.
            ("dome", (2 * np.pi * DOME_RADIUS, np.pi * DOME_RADIUS), 0.45, (150.0, 165.0, 190.0), 0.2),
        )
    }
    solids: list[Thing] = [
        Pillar(1.25, -0.5, paint["pillar"]),
        Box((-0.3, 0.2, 0.05), (0.55, 0.55, 0.55), 0.45, paint["cube"]),
        Sphere((0.55, -0.45, -0.1), 0.4, paint["ball"]),
        Sphere((-0.3, 0.2, 0.88), 0.28, paint["marble"]),
        Box((0.6, 0.55, 0.05), (0.17, 0.17, 0.55), 0.9, paint["tower"]),
    ]
    dome = Sphere((0.0, 0.0, 0.0), DOME_RADIUS, paint["dome"], inside=True)
    return World(solids, Ground(paint["ground"]), dome)


def trace(world: World, origin: Rays, direction: Rays) -> NDArray[np.float32]:
    """Colours (rays, 3) in 0..1 that rays from inside the dome see.

    Lambert shading by one distant light with hard shadows: what is seen does not depend on
    where it is seen from.

    Args:
        world: what there is to see.
        origin: (3, rays) or (3, 1) float32.
        direction: (3, rays) float32 of length 1.
    """
    every: list[Thing] = [*world.solids, world.ground, world.dome]
    distance = np.full(direction.shape[1], NEVER)
    nearest = np.zeros(direction.shape[1], np.int8)
    for number, thing in enumerate(every):
        candidate = thing.distance(origin, direction)
        nearest[candidate < distance] = number
        distance = np.minimum(distance, candidate)
    points = origin + direction * distance
    colours = np.empty((direction.shape[1], 3), np.float32)
    for number, thing in enumerate(every):
        hit = np.flatnonzero(nearest == number)
        if not hit.size:
            continue
        normal, colour = thing.surface(points[:, hit])
        if thing is not world.dome:
            facing = np.maximum(np.sum(normal * LIGHT, axis=0), 0)
            start = points[:, hit] + normal * np.float32(2 * LIFT)
            towards = np.broadcast_to(LIGHT, start.shape)
            for solid in world.solids:
                facing[np.isfinite(solid.distance(start, towards))] = 0
            colour *= (AMBIENT + (1 - AMBIENT) * facing)[:, None]
        colours[hit] = colour
    return colours
