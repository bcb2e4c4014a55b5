"""The content of the orbit film: a still life on a pedestal inside a painted dome, and its ray tracer.

All surfaces are matt and covered with irregular chips of colour, so that SIFT finds the same spots from all
sides. The dome bounds the scene, so that a radiance field can represent all that is visible. The camera is
about 4 units from the origin; +z is up.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych.sfm.surfaces import (
    DOME_RADIUS,
    LIFT,
    Box,
    Ground,
    Pillar,
    Rays,
    Sphere,
    Surface,
    Texture,
    Vector,
    terrazzo,
)
from triptych.workflow.seeds import numpy_generator

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


def still_life(seed: int, *, density: float) -> StillLife:
    """The still life of a seed; `density` is the number of texels per unit on the objects in the middle."""

    def paint(
        name: str, size: tuple[float, float], base: Vector, chip: float, relative_density: float = 1.0
    ) -> Texture:
        rng = numpy_generator("world", name, seed)
        return terrazzo(rng, size=size, density=density * relative_density, base=base, chip=chip)

    solids: list[Surface] = [
        Pillar(1.25, -0.5, paint("pillar", (7.6, 4.6), (205, 195, 175), 0.05)),
        Box((-0.3, 0.2, 0.05), (0.55,) * 3, 0.45, paint("cube", (10.2, 1.4), (214, 120, 60), 0.055)),
        Sphere((0.55, -0.45, -0.1), 0.4, paint("ball", (3, 1.3), (70, 150, 160), 0.05)),
        Sphere((-0.3, 0.2, 0.88), 0.28, paint("marble", (2, 1), (190, 60, 80), 0.04)),
        Box((0.6, 0.55, 0.05), (0.17, 0.17, 0.55), 0.9, paint("tower", (10.2, 1.2), (90, 110, 190), 0.045)),
    ]
    ground = Ground(paint("ground", (11, 11), (120, 140, 105), 0.09, 0.8))
    # Twice as far away, half the texels; chips large enough to be visible from there.
    dome_size = 2 * np.pi * DOME_RADIUS, np.pi * DOME_RADIUS
    dome = paint("dome", dome_size, (150, 165, 190), 0.2, 0.45)
    return StillLife(solids, ground, Sphere((0, 0, 0), DOME_RADIUS, dome, inside=True))


def trace(scene: StillLife, origin: Rays, direction: Rays) -> NDArray[np.float32]:
    """Colours (rays, 3) in 0..1 of rays from inside the dome.

    Lambert shading by one distant light with hard shadows: a point has the same colour from everywhere.

    Args:
        scene: the scene.
        origin: (3, rays) or (3, 1) float32.
        direction: (3, rays) float32 of length 1.
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
