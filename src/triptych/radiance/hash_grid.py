"""Multiresolution hash encoding (Müller et al. 2022, Instant Neural Graphics Primitives, section 3)."""

import math
from itertools import product

import torch
from torch import Tensor, nn

# pi_1 = 1, pi_2 = 2654435761, pi_3 = 805459861 (equation 4), as signed 32-bit integers: the
# products wrap around, and only their low bits are used.
PRIMES = (1, 2654435761 - 2**32, 805459861)


def level_resolutions(levels: int, base: int, finest: int) -> list[int]:
    """Cells per side of each level, growing geometrically from `base` to `finest` (equations 2 and 3)."""
    growth = math.exp(math.log(finest / base) / (levels - 1)) if levels > 1 else 1.0
    return [math.floor(base * growth**level + 1e-6) for level in range(levels)]


class HashGrid(nn.Module):
    """Learned features on the corners of nested grids, interpolated trilinearly: (n, 3) to (n, levels *
    features).

    Levels whose corners fit into a table of 2^log2_table rows are stored densely; finer ones are hashed, and
    training resolves collisions. Resolutions are cells per side; initial values are uniform in ±1e-4.
    """

    def __init__(
        self,
        *,
        levels: int = 8,
        features: int = 4,
        log2_table: int = 19,
        base_resolution: int = 16,
        finest_resolution: int = 2048,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.resolutions = level_resolutions(levels, base_resolution, finest_resolution)
        rows = [min((resolution + 1) ** 3, 2**log2_table) for resolution in self.resolutions]
        self.tables = nn.ParameterList(
            nn.Parameter((torch.rand(count, features, generator=generator) * 2 - 1) * 1e-4) for count in rows
        )
        self.features, self.width = features, levels * features

    def corners(self, level: int, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """Table rows (n, 8) int32 and trilinear weights (n, 8) of the cell around each point.

        Coordinates are (3, n) in [0, 1]; one row per axis keeps the arithmetic vectorised.
        """
        resolution, rows = self.resolutions[level], self.tables[level].shape[0]
        scaled, side = coordinates * resolution, resolution + 1
        low = scaled.floor().clamp_(0, resolution - 1)
        cell, above = low.int(), scaled - low
        below = 1 - above
        index = coordinates.new_empty(coordinates.shape[1], 8, dtype=torch.int32)
        weight = coordinates.new_empty(coordinates.shape[1], 8)
        # this order decides how the sum over corners is rounded; the compiled kernels have the same one
        for corner, (dy, dz, dx) in enumerate(product((0, 1), repeat=3)):
            x, y, z = cell[0] + dx, cell[1] + dy, cell[2] + dz
            if side**3 == rows:  # stored densely
                index[:, corner] = x + side * (y + side * z)
            else:  # equation 4; `rows` is a power of two
                index[:, corner] = ((x * PRIMES[0]) ^ (y * PRIMES[1]) ^ (z * PRIMES[2])) & (rows - 1)
            wx, wy, wz = (above[axis] if d else below[axis] for axis, d in enumerate((dx, dy, dz)))
            weight[:, corner] = wx * (wy * wz)
        return index, weight

    def forward(self, positions: Tensor) -> Tensor:
        """Encode (n, 3) positions in [0, 1] as (n, levels · features)."""
        coordinates = positions.t().contiguous()
        encoded = []
        for level, table in enumerate(self.tables):
            index, weight = self.corners(level, coordinates)
            encoded.append((table[index.long()] * weight[..., None]).sum(dim=-2))
        return torch.cat(encoded, dim=-1)
