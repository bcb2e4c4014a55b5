"""A field whose surface is a ball, and a camera that looks at it."""

from collections.abc import Callable

import torch
import trimesh
from torch import Tensor, nn

from triptych.radiance.field import Field, FieldShape
from triptych.radiance.mesh import Mesh, extract_mesh, sample_density
from triptych.radiance.occupancy_grid import OccupancyGrid
from triptych.radiance.render import RadianceField
from triptych.scenes.cameras import Cameras

CPU = torch.device("cpu")


MIDDLE = torch.tensor([0.5, 0.45, 0.55])


RADIUS = 0.3


LEVEL = 100.0


def ball(positions: Tensor) -> Tensor:
    """Density that passes LEVEL at RADIUS from MIDDLE and falls off by orders of magnitude."""
    return LEVEL * torch.exp((RADIUS - (positions - MIDDLE).norm(dim=-1)) / 0.005).clamp(max=1e4)


def ball_and_crumb(positions: Tensor) -> Tensor:
    crumb = (0.05 - (positions - 0.05).norm(dim=-1)) / 0.005
    return torch.maximum(ball(positions), LEVEL * torch.exp(crumb).clamp(max=1e4))


def empty(positions: Tensor) -> Tensor:
    return torch.zeros(len(positions))


def colour_of(positions: Tensor) -> Tensor:
    """Smooth in position, not symmetric."""
    return 0.5 + 0.4 * torch.sin(3 * positions)


class Known(Field):
    """A field of known density; it is black seen from inside the ball."""

    def __init__(self, known: Callable[[Tensor], Tensor], aabb_scale: int = 1) -> None:
        super().__init__(FieldShape(aabb_scale=aabb_scale, levels=1, log2_table=8, finest_resolution=16))
        self.double()  # for which there are no compiled kernels: they would bypass this class
        self.known = known

    def density(self, positions: Tensor) -> Tensor:
        return self.known(positions)

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        inward = ((positions - MIDDLE) * directions).sum(dim=-1, keepdim=True) < 0
        return self.density(positions), colour_of(positions) * inward


def radiance_of(density: Callable[[Tensor], Tensor], *, aabb_scale: int = 1) -> RadianceField:
    occupancy = OccupancyGrid(aabb_scale=aabb_scale, resolution=32, device=CPU)
    return RadianceField(
        field=Known(density, aabb_scale),
        occupancy=occupancy,
        near=0.05,
        background=torch.zeros(3),
        step_scale=1.0,
        precision="float32",
    )


def mesh_of(
    density: Callable[[Tensor], Tensor], *, resolution: int = 48, min_component_fraction: float = 0.01
) -> tuple[Mesh, float]:
    low = torch.zeros(3)
    values, cell = sample_density(radiance_of(density), low, torch.ones(3), resolution=resolution)
    mesh = extract_mesh(values, low, cell, density=LEVEL, min_component_fraction=min_component_fraction)
    return mesh, cell


def as_trimesh(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices.numpy(), mesh.faces, process=False)


def look_from(eye: list[float], side: int) -> Cameras:
    """One camera at `eye` that looks at the ball's middle."""
    position = torch.tensor(eye)
    forward = nn.functional.normalize(MIDDLE - position, dim=0)
    right = nn.functional.normalize(torch.linalg.cross(forward, torch.tensor([0.0, 0.0, 1.0])), dim=0)
    return Cameras(
        focal=torch.full((1, 2), 1.2 * side),
        centre=torch.full((1, 2), side / 2),
        distortion=torch.zeros(1, 4),
        rotation=torch.stack([right, torch.linalg.cross(forward, right), forward], dim=1)[None],
        position=position[None],
        size=torch.full((1, 2), side),
    )
