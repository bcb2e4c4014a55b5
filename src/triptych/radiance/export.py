"""The files that carry a radiance field into other programs: PLY and GLB, written by trimesh."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray
from torch import Tensor
from trimesh.exchange.gltf import export_glb
from trimesh.exchange.ply import export_ply

from triptych.radiance.evaluate import to_bytes
from triptych.radiance.mesh import extract_mesh, sample_density, simplify, surface_colours
from triptych.radiance.point_cloud import extract_points, surface_density
from triptych.radiance.render import RadianceField
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path

log = logging.getLogger("triptych")

Array = NDArray[np.floating]

# In unit cubes, a power of two: cameras around an object are 1.3 from its middle on average, so
# this holds the object and what it stands on, but not the background.
DEFAULT_SIDE = 2
UNLIT = "KHR_materials_unlit"  # the scene's light is in the colours already


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
    max_faces: int,
    points: int,
    masks: Sequence[Tensor | None] | None = None,
) -> dict[str, Any]:
    """Write `cloud.ply`, `mesh.ply` and `mesh.glb`.

    Positions are in the world coordinates of transforms.json; the .glb has y up instead of z. If nothing is
    opaque or there is no surface, a warning says so and the files are valid and empty.

    Args:
        cameras: the cameras that see the cloud, on the field's device.
        resolution: cells along the longest side of the box, for the mesh.
        density: density at the mesh's surface, per unit-cube length; None: `surface_density` of the cloud.
        points: approximate number of pixels rendered for the cloud; some of them show nothing in the box.

    Returns:
        Figures of the files; `box` and `cell` in world units. Raises as `export_box` and `sample_density` do.
    """
    low, high = export_box(radiance, world, box)
    values, cell = sample_density(radiance, low, high, resolution=resolution)

    cloud = extract_points(radiance, cameras, low, high, points=points, masks=masks)
    if not len(cloud.positions):
        log.warning("no points: nothing in the box is opaque; widen export.box, or train for longer")
    positions, normals = _in_world(world, cloud.positions), cloud.normals.cpu().numpy()
    write_ply(folder / "cloud.ply", positions, normals, to_bytes(cloud.colours))

    density = surface_density(radiance, cloud) if density is None else density
    mesh = extract_mesh(values, low, cell, density=density, min_component_fraction=min_component_fraction)
    if not len(mesh.faces):
        log.warning(
            "no surface: density in the box goes from %.3g to %.3g and, smoothed over a cell, never crosses "
            "%.3g; lower export.density, or train for longer",
            float(values.min()),
            float(values.max()),
            density,
        )
    extracted = len(mesh.faces)
    mesh = simplify(mesh, max_faces=max_faces)
    if len(mesh.faces) < extracted:
        log.info("mesh: simplified from %d to %d faces", extracted, len(mesh.faces))
    colours = surface_colours(radiance, mesh, cell=cell)
    vertices, normals = _in_world(world, mesh.vertices), mesh.normals.cpu().numpy()
    write_ply(folder / "mesh.ply", vertices, normals, to_bytes(colours), mesh.faces)
    write_glb(folder / "mesh.glb", vertices, normals, colours.cpu().numpy(), mesh.faces)
    return {
        "box": _in_world(world, torch.stack([low, high])).tolist(),
        "points": len(positions),
        "vertices": len(vertices),
        "faces": len(mesh.faces),
        "density": density,
        "cell": cell / world.scale,
    }


def _in_world(world: World, positions: Tensor) -> Array:
    return world.from_cube(positions.cpu().double().numpy())


def export_box(
    radiance: RadianceField, world: World, box: Sequence[Sequence[float]] | None
) -> tuple[Tensor, Tensor]:
    """Lowest and highest corner of the box to export, (3,) float32 each in unit-cube coordinates.

    A given `box` is in world coordinates, and is clipped to the field. None: the bounding box of the occupied
    cells in the cube of side `DEFAULT_SIDE` around the scene's middle, or all of that cube if none is
    occupied. Raises `TriptychError` if a side of `box` has no length, or it lies outside the field.
    """
    device = radiance.background.device
    if box is None:
        width = min(DEFAULT_SIDE, radiance.field.shape.aabb_scale)
        inner = radiance.occupancy.occupied[width.bit_length() - 1]
        cells, side = inner.nonzero(), inner.shape[0]
        if not len(cells):
            cells = torch.tensor([[0, 0, 0], [side - 1, side - 1, side - 1]], device=device)
        first, last = cells.amin(dim=0), cells.amax(dim=0)
        return (first / side - 0.5) * width + 0.5, ((last + 1) / side - 0.5) * width + 0.5
    half = radiance.field.shape.aabb_scale / 2
    low, high = world.to_cube(np.asarray(box, dtype=np.float64)).clip(0.5 - half, 0.5 + half)
    if (high <= low).any():
        ends = [
            [round(float(x), 3) for x in world.from_cube(np.full(3, 0.5 + side))] for side in (-half, half)
        ]
        raise TriptychError(
            f"export.box: {[list(corner) for corner in box]} holds nothing of the scene; give its lowest "
            f"and its highest corner, within {ends}"
        )
    return torch.from_numpy(low).float().to(device), torch.from_numpy(high).float().to(device)


def write_ply(
    target: Path,
    positions: Array,
    normals: Array,
    colours: NDArray[np.uint8],
    faces: NDArray[np.integer] | None = None,
) -> None:
    """Write points, or a mesh if `faces` (m, 3) are given, as binary PLY; other arrays are (n, 3)."""
    if faces is not None:
        content = export_ply(_trimesh(positions, normals, faces, vertex_colors=colours), vertex_normal=True)
    else:
        cloud: Any = trimesh.PointCloud(positions, colors=colours)
        # trimesh writes a cloud's normals as plain attributes
        components = zip(("nx", "ny", "nz"), normals.astype(np.float32).T, strict=True)
        cloud.vertex_attributes = dict(components)
        content = export_ply(cloud)
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def write_glb(
    target: Path, positions: Array, normals: Array, colours: Array, faces: NDArray[np.integer]
) -> None:
    """Write a mesh as binary glTF 2.0, atomically; one without faces becomes a valid, empty file.

    Positions and normals (n, 3) are rotated from z up to y up. The format requires linear vertex colours,
    made from (n, 3) sRGB in [0, 1] and stored as float32, since 8 bits are too coarse for dark ones. The
    material is unlit.
    """

    def make_unlit(tree: dict[str, Any]) -> None:
        for mesh in tree.get("meshes", ()):
            for primitive in mesh["primitives"]:
                attributes = primitive["attributes"]
                attributes["COLOR_0"] = attributes.pop("_linear")
                primitive["material"] = 0
        tree["extensionsUsed"] = [UNLIT]
        surface = {"metallicFactor": 0.0, "roughnessFactor": 1.0}  # for programs without the extension
        tree["materials"] = [
            {"pbrMetallicRoughness": surface, "doubleSided": True, "extensions": {UNLIT: {}}}
        ]

    solid = _trimesh(y_up(positions), y_up(normals), faces, vertex_attributes={"linear": to_linear(colours)})
    content = export_glb(solid, include_normals=True, tree_postprocessor=make_unlit)
    with atomic_path(target) as temporary:
        temporary.write_bytes(content)


def _trimesh(positions: Array, normals: Array, faces: NDArray[np.integer], **values: Any) -> trimesh.Trimesh:
    """A mesh exactly as given; trimesh rejects the normals of a mesh without vertices."""
    given: dict[str, Any] = {"vertex_normals": normals} if len(normals) else {}
    return trimesh.Trimesh(positions, faces, process=False, **given, **values)


def to_linear(colours: Array) -> NDArray[np.float32]:
    """SRGB values in [0, 1] as linear light (IEC 61966-2-1)."""
    dark = colours / 12.92
    bright = ((colours + 0.055) / 1.055) ** 2.4
    return np.where(colours <= 0.04045, dark, bright).astype(np.float32)


def y_up(vectors: Array) -> NDArray[np.float32]:
    """Vectors (n, 3) of a world with +z up, in glTF's axes with +y up: (x, z, -y)."""
    x, y, z = vectors.T
    return np.stack([x, z, -y], axis=-1).astype(np.float32)
