"""The radiance field: hash grid, density network, colour network (Müller et al. 2022, section 5.4)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.radiance.hash_grid import HashGrid
from triptych.radiance.spherical_harmonics import WIDTH, spherical_harmonics

HIDDEN = 64
GEOMETRY = 16
MAX_LOG_DENSITY = 15.0
LARGEST = 3e4  # limit of raw densities; float16 overflows above 65504


@dataclass(frozen=True)
class FieldShape:
    """Everything that decides the shapes of a field's tensors; `HashGrid` explains those of the tables."""

    aabb_scale: int = 1  # side of the scene's box, in unit cubes
    levels: int = 8
    features: int = 4
    log2_table: int = 19
    base_resolution: int = 16
    finest_resolution: int = 2048
    images: int = 0  # with an appearance embedding
    appearance: int = 0  # its width; 0: none


def _mlp(*widths: int, generator: torch.Generator | None) -> nn.Sequential:
    """A multilayer perceptron without biases: ReLU in between, Glorot-uniform weights."""
    layers: list[nn.Module] = []
    for fan_in, fan_out in pairwise(widths):
        linear = nn.Linear(fan_in, fan_out, bias=False)
        nn.init.xavier_uniform_(linear.weight, generator=generator)
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Field(nn.Module):
    """Density and colour at points of the scene's box.

    The box is a cube of side `aabb_scale` centred at (0.5, 0.5, 0.5). `finest_resolution` counts
    the cells of the finest grid along a unit cube's side, so a larger box is not a coarser one.
    """

    def __init__(self, shape: FieldShape, *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.grid = HashGrid(
            levels=shape.levels,
            features=shape.features,
            log2_table=shape.log2_table,
            base_resolution=shape.base_resolution,
            finest_resolution=shape.finest_resolution * shape.aabb_scale,
            generator=generator,
        )
        self.density_network = _mlp(self.grid.width, HIDDEN, GEOMETRY, generator=generator)
        embeds = shape.images > 0 and shape.appearance > 0
        self.appearance = nn.Parameter(torch.zeros(shape.images, shape.appearance)) if embeds else None
        self.ray_width = WIDTH + (shape.appearance if embeds else 0)
        self.colour_network = _mlp(GEOMETRY + self.ray_width, HIDDEN, HIDDEN, 3, generator=generator)

    def _geometry(self, positions: Tensor) -> Tensor:
        within_box = (positions - 0.5) / self.shape.aabb_scale + 0.5
        return self.density_network(self.grid(within_box))

    @staticmethod
    def _density(geometry: Tensor) -> Tensor:
        # float32 even under autocast, and clamped, so that exp does not overflow
        raw = geometry[:, 0].to(torch.promote_types(geometry.dtype, torch.float32)).clamp(-LARGEST, LARGEST)
        # the gradient bypasses the clamp: otherwise a density at its limit could never fall again
        return torch.exp(raw.detach().clamp(max=MAX_LOG_DENSITY) + (raw - raw.detach()))

    def density(self, positions: Tensor) -> Tensor:
        """Density (n,) per unit length at (n, 3) positions in unit-cube coordinates."""
        return self._density(self._geometry(positions))

    def ray_features(self, directions: Tensor, images: Tensor | None = None) -> Tensor:
        """Inputs (n, m) of the colour network that depend on the ray alone: unit direction and appearance.

        `images` has each ray's (n,) int64; None: the mean of all appearances.
        """
        harmonics = spherical_harmonics(directions)
        if self.appearance is None:
            return harmonics
        if images is None:
            appearance = self.appearance.mean(dim=0).expand(len(directions), -1)
        else:
            appearance = functional.embedding(images, self.appearance)
        return torch.cat([harmonics, appearance], dim=-1)

    def shade(self, positions: Tensor, ray_features: Tensor) -> tuple[Tensor, Tensor]:
        """Density (n,) and sRGB colour (n, 3) in [0, 1] at `positions` (n, 3), given (n, m) ray features."""
        geometry = self._geometry(positions)
        inputs = torch.cat([geometry, ray_features.to(geometry.dtype)], dim=-1)
        colour = functional.sigmoid(self.colour_network(inputs).to(positions.dtype))
        return self._density(geometry), colour

    def forward(self, positions: Tensor, directions: Tensor) -> tuple[Tensor, Tensor]:
        """Density (n,) and sRGB colour (n, 3) in [0, 1] at (n, 3) positions, seen along unit directions."""
        return self.shade(positions, self.ray_features(directions))
