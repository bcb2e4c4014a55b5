"""The radiance field: hash grid, density network, colour network."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.radiance.embedding_rows import rows_of
from triptych.radiance.hash_grid import HashGrid
from triptych.radiance.spherical_harmonics import WIDTH, spherical_harmonics
from triptych.radiance.tiny_cuda import TINY_CUDA, TORCH, TinyCudaGrid, TinyCudaNetwork

HIDDEN = 64
GEOMETRY = 16
FINITE = 3e4  # float16 ends at 65504: beyond are overflows
MAX_LOG_DENSITY = 15.0


@dataclass(frozen=True)
class FieldShape:
    """All that decides the shapes of a field's tensors.

    Attributes:
        aabb_scale: side of the box, in unit cubes.
        levels, features, log2_table, base_resolution, finest_resolution: as of `HashGrid`.
        images, appearance: how many images have an appearance of their own, and numbers that
            describe it; none if either is 0.
        modules: what grid and networks are made of, see `tiny_cuda.modules_for`.
    """

    aabb_scale: int = 1
    levels: int = 8
    features: int = 4
    log2_table: int = 19
    base_resolution: int = 16
    finest_resolution: int = 2048
    images: int = 0
    appearance: int = 0
    modules: str = TORCH


def _network(*widths: int, generator: torch.Generator | None) -> nn.Sequential:
    """A fully connected network without biases, ReLU in between, Glorot-uniform weights."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out, bias=False)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Field(nn.Module):
    """Density and colour at points of the scene's box (architecture of Müller et al. 2022, section 5.4).

    The box is a cube of side `aabb_scale` centred at (0.5, 0.5, 0.5). `finest_resolution` counts
    the cells a side of the finest grid in a unit cube, so a larger box is not a coarser one.
    """

    def __init__(self, shape: FieldShape, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        tiny = shape.modules == TINY_CUDA
        grid, network = (TinyCudaGrid, TinyCudaNetwork) if tiny else (HashGrid, _network)
        self.grid = grid(
            levels=shape.levels,
            features=shape.features,
            log2_table=shape.log2_table,
            base_resolution=shape.base_resolution,
            finest_resolution=shape.finest_resolution * shape.aabb_scale,
            generator=generator,
        )
        self.density_network = network(self.grid.width, HIDDEN, GEOMETRY, generator=generator)
        described = shape.images > 0 and shape.appearance > 0
        self.appearance = nn.Parameter(torch.zeros(shape.images, shape.appearance)) if described else None
        self.ray_width = WIDTH + (shape.appearance if described else 0)
        self.colour_network = network(GEOMETRY + self.ray_width, HIDDEN, HIDDEN, 3, generator=generator)

    def _geometry(self, positions: Tensor) -> Tensor:
        within = (positions - 0.5) / self.shape.aabb_scale + 0.5
        geometry: Tensor = self.density_network(self.grid(within))
        return geometry

    @staticmethod
    def _density(geometry: Tensor) -> Tensor:
        # exp of a float32, even under autocast; clamped before it can overflow
        raw = geometry[:, 0].to(torch.promote_types(geometry.dtype, torch.float32)).clamp(-FINITE, FINITE)
        # the gradient passes the clamp: what has become that dense could never thin out again without it
        return torch.exp(raw.detach().clamp(max=MAX_LOG_DENSITY) + (raw - raw.detach()))

    def density(self, positions: Tensor) -> Tensor:
        """Density (n,) per unit length at (n, 3) positions in unit-cube coordinates."""
        return self._density(self._geometry(positions))

    def ray_features(self, directions: Tensor, images: Tensor | None = None) -> Tensor:
        """What the colour network is told of rays: (n, m) spherical harmonics and the image's appearance.

        Args:
            directions: (n, 3) unit vectors.
            images: (n,) int64, which image each ray belongs to; None: the mean of all appearances.
        """
        features = spherical_harmonics(directions)
        if self.appearance is None:
            return features
        if images is None:
            described = self.appearance.mean(dim=0).expand(len(directions), -1)
        else:
            described = rows_of(self.appearance, images)
        return torch.cat([features, described], dim=-1)

    def shade(self, positions: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Density (n,) and sRGB colour (n, 3) in [0, 1] at `positions` (n, 3), given (n, m) ray features."""
        geometry = self._geometry(positions)
        seen = torch.cat([geometry, features.to(geometry.dtype)], dim=-1)
        colour = functional.sigmoid(self.colour_network(seen).to(positions.dtype))
        return self._density(geometry), colour

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (n,) and sRGB colour (n, 3) in [0, 1] seen along unit `directions` (n, 3)."""
        return self.shade(positions, self.ray_features(directions))


def runs_on_kernels(field: Field) -> bool:
    """Whether the CPU's kernels can take this field: they read float32 where it lies."""
    table = field.grid.tables[0]
    return field.shape.modules == TORCH and table.device.type == "cpu" and table.dtype == torch.float32
