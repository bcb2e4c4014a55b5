"""The surface of a radiance field as a coloured triangle mesh."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from skimage.measure import marching_cubes
from torch import Tensor

from triptych.radiance.density_grid import DensityGrid
from triptych.radiance.render import RadianceField, render_rays

SMOOTHING = 1.0  # standard deviation, in cells
ABOVE = 1.5  # where a vertex is looked at from, in cells


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh; seen from outside, corners of a face go round counter-clockwise.

    Attributes:
        vertices: (n, 3) float32 positions.
        normals: (n, 3) float32 of unit length, outward.
        faces: (m, 3) int32 corners.
    """

    vertices: Tensor
    normals: Tensor
    faces: NDArray[np.int32]


def extract_mesh(grid: DensityGrid, *, density: float, min_component_fraction: float) -> Mesh:
    """The surface of equal density (Lorensen and Cline 1987; Lewiner et al. 2003), in unit-cube coordinates.

    Training sees density only through sums along rays, so it is rough from one node to the next,
    and jumps by orders of magnitude. It is therefore cut off at twice that of the surface and
    smoothed: the surface of a solid stays where it is, what is thinner than a cell goes.
    The surface stays open where the grid's border cuts it.

    Args:
        grid: the density.
        density: of the surface, per unit-cube length.
        min_component_fraction: pieces with less than this share of the largest piece's faces are left out.

    Returns:
        The mesh; without any faces if density nowhere crosses `density`.
    """
    level = gaussian_filter((grid.values / density).clamp(max=2).cpu().numpy(), SMOOTHING, mode="nearest") - 1
    if level.min() >= 0 or level.max() <= 0:
        none = torch.zeros(0, 3, device=grid.low.device)
        return Mesh(none, none, np.zeros((0, 3), np.int32))
    vertices, faces, normals, _ = marching_cubes(
        level, 0.0, gradient_direction="ascent", allow_degenerate=False
    )
    vertices, faces, normals = _without_small_pieces(vertices, faces, normals, min_component_fraction)
    positions = torch.from_numpy(vertices).to(grid.low) * grid.cell + grid.low
    outward = torch.nn.functional.normalize(torch.from_numpy(normals).to(grid.low), dim=-1)
    return Mesh(positions, outward, faces)


def _without_small_pieces(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int32],
    normals: NDArray[np.float32],
    min_component_fraction: float,
) -> tuple[NDArray[np.float32], NDArray[np.int32], NDArray[np.float32]]:
    """Drop connected pieces with few faces, and the vertices that then belong to no face."""
    edges = faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    links = coo_array((np.ones(len(edges), np.int8), edges.T), shape=(len(vertices), len(vertices)))
    piece = connected_components(links, directed=False)[1][faces[:, 0]]
    sizes = np.bincount(piece)
    faces = faces[sizes[piece] >= min_component_fraction * sizes.max()]
    kept, renumbered = np.unique(faces, return_inverse=True)
    return vertices[kept], renumbered.reshape(-1, 3).astype(np.int32), normals[kept]


def surface_colours(radiance: RadianceField, mesh: Mesh, *, cell: float) -> Tensor:
    """Colours (n, 3), sRGB in [0, 1], of the vertices, each seen along its normal from just outside.

    At the surface of equal density itself, in the outer fringe of what is opaque, colours are
    hardly trained; a ray sees those of the layer behind it, as a camera does.

    Args:
        radiance: the trained field.
        mesh: in unit-cube coordinates.
        cell: of the grid that the mesh comes from.
    """
    if not len(mesh.vertices):
        return mesh.vertices
    eyes = mesh.vertices + ABOVE * cell * mesh.normals
    seen = render_rays(replace(radiance, near=0.0), eyes, -mesh.normals)
    return (seen.colour / seen.opacity.clamp(min=1e-6)[:, None]).clamp(0, 1)
