"""The files that carry a radiance field into other programs."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from triptych.radiance.density_grid import sample_density
from triptych.radiance.evaluate import to_bytes
from triptych.radiance.export_box import export_box
from triptych.radiance.glb import write_glb
from triptych.radiance.mesh import extract_mesh, surface_colours
from triptych.radiance.ply import write_ply
from triptych.radiance.point_cloud import extract_points, seen_density
from triptych.radiance.render import RadianceField
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World

log = logging.getLogger("triptych")


def export_scene(
    radiance: RadianceField,
    world: World,
    cameras: Cameras,
    folder: Path,
    *,
    box: Sequence[Sequence[float]] | None,
    resolution: int,
    density: float | None,
    min_component_fraction: float,
    points: int,
) -> dict[str, Any]:
    """Write `cloud.ply`, `mesh.ply` and `mesh.glb`.

    Positions are in the world of transforms.json; the .glb turns it from z up to y up. If nothing
    is opaque or there is no surface, a warning says so and the files are valid and empty.

    Args:
        radiance: the trained field.
        world: of its scene.
        cameras: which the cloud is seen by, on the field's device.
        folder: where the files go.
        box: what to export, as for `export_box`.
        resolution: cells along the longest side of the box, for the mesh.
        density: of the mesh's surface, per unit-cube length; None: `seen_density` of the cloud.
        min_component_fraction: pieces with less than this share of the largest piece's faces are left out.
        points: pixels to look at for the cloud, about; some of them show nothing in the box.

    Returns:
        Numbers of what was written; `box` and `cell` in world units.

    Raises:
        TriptychError: the box is empty or thinner than a cell.
    """
    low, high = export_box(radiance, world, box)
    grid = sample_density(radiance, low, high, resolution=resolution)

    cloud = extract_points(radiance, cameras, low, high, points=points)
    if not len(cloud.positions):
        log.warning("no points: nothing in the box is opaque; widen export.box, or train for longer")
    positions, normals = _in_world(world, cloud.positions), cloud.normals.cpu().numpy()
    write_ply(folder / "cloud.ply", positions=positions, normals=normals, colours=to_bytes(cloud.colours))

    density = seen_density(radiance, cloud) if density is None else density
    mesh = extract_mesh(grid, density=density, min_component_fraction=min_component_fraction)
    if not len(mesh.faces):
        log.warning(
            "no surface: density in the box goes from %.3g to %.3g and, smoothed over a cell, never crosses "
            "%.3g; lower export.density, or train for longer",
            float(grid.values.min()),
            float(grid.values.max()),
            density,
        )
    colours = surface_colours(radiance, mesh, cell=grid.cell)
    vertices, normals = _in_world(world, mesh.vertices), mesh.normals.cpu().numpy()
    surface = {"positions": vertices, "normals": normals, "faces": mesh.faces}
    write_ply(folder / "mesh.ply", **surface, colours=to_bytes(colours))
    write_glb(folder / "mesh.glb", **surface, colours=colours.cpu().numpy())
    return {
        "box": _in_world(world, torch.stack([low, high])).tolist(),
        "points": len(positions),
        "vertices": len(vertices),
        "faces": len(mesh.faces),
        "density": density,
        "cell": grid.cell / world.scale,
    }


def _in_world(world: World, positions: Tensor) -> np.ndarray:
    return world.from_cube(positions.cpu().double().numpy())
