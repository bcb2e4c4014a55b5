"""The content of the orbit film: objects on a pedestal in a round room with pictures, and its ray tracer.

All surfaces are matt and carry photographs that come with scikit-image, so that SIFT finds the same spots
from all sides. The round wall bounds the scene, so that a radiance field can represent all that is visible.
The camera is about 4 units from the origin; +z is up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageOps
from skimage import data

from triptych.sfm.surfaces import DOME_RADIUS, LIFT, Box, Ground, Pillar, Rays, Sphere, Surface, Texture

LIGHT: Rays = np.array([[0.45], [-0.35], [0.82]], np.float32) / np.float32(
    np.linalg.norm([0.45, -0.35, 0.82])
)
AMBIENT = 0.55


@dataclass(frozen=True)
class StillLife:
    """Solids, which cast shadows on themselves and on the ground, inside a dome that needs no light."""

    solids: Sequence[Surface]
    ground: Ground
    dome: Sphere


def still_life(*, density: float) -> StillLife:
    """The still life; `density` is the number of texels per unit on the objects in the middle."""
    gravel = _mirrored("gravel", (2.52, 1.26), density, "#2090a0", border=0.25)
    tissue = _mirrored("immunohistochemistry", (1.76, 0.88), density)
    coins = _row(["coins"] * 6, 1.1, density, turn=90)
    # faces -x, x, -y, y, bottom, top
    cube = _row(["chelsea", "coffee", "astronaut", "rocket", "moon", "retina"], 1.1, density)
    solids: list[Surface] = [
        Pillar(1.25, -0.5, _texture(_mirrored("brick", (7.86, 2.3), density, "#d08058"), density)),
        Box((-0.3, 0.2, 0.05), (0.55,) * 3, 0.45, _texture(cube, density)),
        Sphere((0.55, -0.45, -0.1), 0.4, _texture(gravel, density)),
        Sphere((-0.3, 0.2, 0.88), 0.28, _texture(tissue, density)),
        Box((0.6, 0.55, 0.05), (0.17, 0.17, 0.55), 0.9, _texture(coins, density)),
    ]
    # The wall is twice as far away as the middle, so half the texels are enough.
    return StillLife(
        solids,
        Ground(_texture(_lawn(0.8 * density), 0.8 * density)),
        Sphere((0, 0, 0), DOME_RADIUS, _texture(_wall(0.45 * density), 0.45 * density), inside=True),
    )


def _texture(picture: Image.Image, density: float) -> Texture:
    return Texture(np.asarray(picture, np.float32) / np.float32(255), density)


def _photograph(
    name: str, size: tuple[float, float], density: float, tint: str | None = None, border: float = 0
) -> Image.Image:
    """The middle of a photograph of `skimage.data`, scaled to a size (width, height) in units.

    Args:
        density: texels per unit.
        tint: colour that replaces mid-grey.
        border: share of the photograph that is cut off on each side. This enlarges its grain, which is noise
            to a radiance field if it is as fine as the pixels.
    """
    loaded = data.stereo_motorcycle()[0] if name == "stereo_motorcycle" else getattr(data, name)()
    picture = Image.fromarray(loaded)
    if tint:
        picture = ImageOps.colorize(picture.convert("L"), "black", "white", mid=tint)
    texels = round(size[0] * density), round(size[1] * density)
    return ImageOps.fit(picture.convert("RGB"), texels, Image.Resampling.LANCZOS, bleed=border)


def _mirrored(
    name: str, size: tuple[float, float], density: float, tint: str | None = None, border: float = 0
) -> Image.Image:
    """A photograph and its mirror image side by side, which join without a seam around a round surface."""
    half = _photograph(name, (size[0] / 2, size[1]), density, tint, border)
    return _beside([half, ImageOps.mirror(half)])


def _row(names: Sequence[str], side: float, density: float, turn: int = 0) -> Image.Image:
    """Square photographs in a row, each turned by `turn` degrees more than the one before."""
    squares = [_photograph(name, (side, side), density) for name in names]
    return _beside([square.rotate(turn * number) for number, square in enumerate(squares)])


def _beside(pictures: Sequence[Image.Image]) -> Image.Image:
    return Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1))


def _lawn(density: float) -> Image.Image:
    """Grass with a round bed of gravel in the middle."""
    lawn = _photograph("grass", (11, 11), density, "#708a3c", border=0.32)
    bed = _photograph("gravel", (4.6, 4.6), density, "#98907f", border=0.33)
    mask = Image.new("L", bed.size)
    ImageDraw.Draw(mask).ellipse((0, 0, *bed.size), fill=255)
    corner = (lawn.width - bed.width) // 2
    lawn.paste(bed, (corner, corner), mask)
    return lawn


def _wall(density: float) -> Image.Image:
    """A round wall with framed pictures just above the horizon."""
    width, height = 2 * np.pi * DOME_RADIUS, np.pi * DOME_RADIUS
    wall = _mirrored("brick", (width, height), density, "#b0a698")
    names = ("stereo_motorcycle", "camera", "hubble_deep_field", "page", "text")
    for number, name in enumerate(names):
        framed = ImageOps.expand(_photograph(name, (3.8, 2.7), density), round(0.1 * density), "#3c2d23")
        wall.paste(framed, (round((number + 0.2) * wall.width / len(names)), round(0.37 * wall.height)))
    return wall


def trace(scene: StillLife, origin: Rays, direction: Rays) -> NDArray[np.float32]:
    """Colours (rays, 3) in 0..1 of rays from inside the dome, of origins (3, rays) or (3, 1) and unit
    directions (3, rays), float32.

    Lambert shading by one distant light with hard shadows: a point has the same colour from everywhere.
    """
    surfaces: list[Surface] = [*scene.solids, scene.ground, scene.dome]
    colours = np.empty((direction.shape[1], 3), np.float32)
    # Rays that miss a surface, or run parallel to it, have no root or an infinite one.
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = np.stack([surface.distance(origin, direction) for surface in surfaces])
        nearest = distances.argmin(axis=0)
        points = origin + direction * distances.min(axis=0)
        for number, surface in enumerate(surfaces):
            hit = np.flatnonzero(nearest == number)
            if not hit.size:
                continue
            normal, colour = surface.surface(points[:, hit])
            if surface is not scene.dome:
                facing = np.maximum(np.sum(normal * LIGHT, axis=0), 0)
                start = points[:, hit] + normal * np.float32(2 * LIFT)
                towards = np.broadcast_to(LIGHT, start.shape)
                for solid in scene.solids:
                    facing[np.isfinite(solid.distance(start, towards))] = 0
                colour *= (AMBIENT + (1 - AMBIENT) * facing)[:, None]
            colours[hit] = colour
    return colours
