"""The surface of a radiance field as a coloured triangle mesh: density on a grid, marching cubes."""

from dataclasses import dataclass, replace

import fast_simplification
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree
from skimage.measure import marching_cubes
from torch import Tensor
from trimesh.graph import connected_component_labels

from triptych.radiance.backend import make_density
from triptych.radiance.render import RadianceField, render_rays
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

BLOCK = 2**18  # grid nodes evaluated at once
SMOOTHING = 1.0  # standard deviation, in cells
ABOVE = 1.5  # distance from a vertex to the origin of the ray that renders its colour, in cells


@torch.no_grad()
def sample_density(
    radiance: RadianceField, low: Tensor, high: Tensor, *, resolution: int
) -> tuple[Tensor, float]:
    """Density (nx, ny, nz) at the nodes of a cubic grid in a box, beginning at `low`, and the width of a
    cell.

    0 in unoccupied cells, as in renderings. `resolution` is that of the box's longest side. Raises
    `TriptychError` if the box is thinner than a cell.
    """
    extent = high - low
    cell = float(extent.max()) / resolution
    counts = [int(side / cell + 1e-4) + 1 for side in extent.tolist()]
    if min(counts) < 2:
        raise TriptychError(
            f"export.box: its thinnest side is shorter than a cell, 1/{resolution} of the longest; "
            "raise export.resolution or widen the box"
        )
    nx, ny, nz = counts
    total = nx * ny * nz
    device, density = low.device, make_density(radiance.field, radiance.precision)
    values = torch.zeros(total, device=device)
    with Progress(total, "density", unit="node") as progress:
        for start in range(0, total, BLOCK):
            node = torch.arange(start, min(start + BLOCK, total), device=device)
            index = torch.stack([node // (ny * nz), node // nz % ny, node % nz], dim=-1)
            positions = low + cell * index
            occupied = radiance.occupancy.is_occupied(positions, torch.zeros(len(node), device=device))
            if occupied.any():
                values[node[occupied]] = density(positions[occupied])
            progress.update(len(node))
    return values.view(nx, ny, nz), cell


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh; seen from outside, the corners of a face run counter-clockwise."""

    vertices: Tensor  # (n, 3) float32 positions
    normals: Tensor  # (n, 3) float32 of unit length, outward
    faces: NDArray[np.int32]  # (m, 3) int32 corners


def extract_mesh(
    values: Tensor, low: Tensor, cell: float, *, density: float, min_component_fraction: float
) -> Mesh:
    """The surface of equal density (Lorensen and Cline 1987; Lewiner et al. 2003), in unit-cube coordinates.

    Training constrains density only through integrals along rays, so it is rough from one node to the next
    and jumps by orders of magnitude. It is therefore clamped at twice the surface's density and smoothed: the
    surface of a solid stays in place, and parts thinner than a cell disappear. The surface is open at the
    border of the grid. Connected components with fewer faces than `min_component_fraction` of the largest
    one's are left out. There are no faces if the values never cross `density`.
    """
    level = gaussian_filter((values / density).clamp(max=2).cpu().numpy(), SMOOTHING, mode="nearest") - 1
    if level.min() >= 0 or level.max() <= 0:
        none = torch.zeros(0, 3, device=low.device)
        return Mesh(none, none, np.zeros((0, 3), np.int32))
    vertices, faces, normals, _ = marching_cubes(
        level, 0.0, gradient_direction="ascent", allow_degenerate=False
    )
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    component = connected_component_labels(edges, node_count=len(vertices))[faces[:, 0]]
    sizes = np.bincount(component)
    faces = faces[sizes[component] >= min_component_fraction * sizes.max()]
    kept, renumbered = np.unique(faces, return_inverse=True)
    positions = torch.from_numpy(vertices[kept]).to(low) * cell + low
    outward = torch.nn.functional.normalize(torch.from_numpy(normals[kept]).to(low), dim=-1)
    return Mesh(positions, outward, renumbered.reshape(-1, 3).astype(np.int32))


def simplify(mesh: Mesh, *, max_faces: int) -> Mesh:
    """The mesh with at most `max_faces` faces, by quadric edge collapse (Garland and Heckbert 1997).

    Flat parts get large triangles, details keep small ones. A mesh that is small enough stays as it is.
    """
    if len(mesh.faces) <= max_faces:
        return mesh
    original = mesh.vertices.cpu().numpy()
    vertices, faces = fast_simplification.simplify(original, mesh.faces, target_count=max_faces)
    _, nearest = KDTree(original).query(vertices)  # its normal is that of the density, not of coarse faces
    normals = mesh.normals[torch.from_numpy(nearest).to(mesh.normals.device)]
    return Mesh(torch.from_numpy(vertices).to(mesh.vertices), normals, faces.astype(np.int32))


def surface_colours(radiance: RadianceField, mesh: Mesh, *, cell: float) -> Tensor:
    """Colours (n, 3), sRGB in [0, 1], of the vertices, each rendered along its normal from just outside.

    At the surface of equal density itself, in the outer fringe of opaque matter, colours are hardly trained;
    a ray renders those of the layer beneath, as a camera does.
    """
    if not len(mesh.vertices):
        return mesh.vertices
    eyes = mesh.vertices + ABOVE * cell * mesh.normals
    rendered = render_rays(replace(radiance, near=0.0), eyes, -mesh.normals)
    return (rendered.colour / rendered.opacity.clamp(min=1e-6)[:, None]).clamp(0, 1)
