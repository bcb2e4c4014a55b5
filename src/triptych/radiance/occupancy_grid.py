"""Which cells of space are worth sampling (Müller et al. 2022, appendix E.2)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.frustum_culling import meets_view
from triptych.radiance.step_schedule import MIN_STEP
from triptych.scenes.cameras import Cameras
from triptych.workflow.errors import TriptychError

DECAY = 0.95
THRESHOLD = 0.01  # optical thickness of a shortest step
BLOCK = 2**18
SEQUENCE = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)  # Roberts' R3: powers of 1 / 1.2207…


class OccupancyGrid:
    """Nested cubes around (0.5, 0.5, 0.5), each of `resolution`³ cells, each twice as wide as the one within.

    Every cell keeps a decaying maximum of the optical thickness that a shortest step meets in
    it; it is occupied while that passes a threshold. A cell of an outer cube also is occupied
    if any cell within it is, so that long steps may look at coarse cells.

    Args:
        aabb_scale: side of the outermost cube, a power of two.
        resolution: cells a side, a multiple of 8.
        device: where it lives.
    """

    def __init__(self, *, aabb_scale: int, resolution: int, device: torch.device) -> None:
        self.resolution, self.device = resolution, device
        self.cascades = aabb_scale.bit_length()
        shape = (self.cascades, resolution, resolution, resolution)
        self.thickness = torch.zeros(shape, device=device)
        self.active = torch.ones(shape, dtype=torch.bool, device=device)
        quarter = slice(resolution // 4, resolution - resolution // 4)
        # the middle of every outer cube is described by the cube within it
        self.active[1:, quarter, quarter, quarter] = False
        self._cells = self.active.flatten().nonzero()[:, 0]
        self.occupied = torch.ones(shape, dtype=torch.bool, device=device)
        self._refresh(self.active)

    def cell_centres(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Centres (n, 3) and widths (n, 1) of cells given by flat positions in `occupied`."""
        side = self.resolution
        cascade = cells // side**3
        index = torch.stack([cells // side**2 % side, cells // side % side, cells % side], dim=-1)
        width = 2.0**cascade / side
        return ((index + 0.5) / side - 0.5) * 2.0 ** cascade[:, None] + 0.5, width[:, None]

    def keep_seen_by(self, cameras: Cameras, *, near: float) -> None:
        """Switch off for good the cells that lie outside all of the cameras' views.

        A cell counts as seen if its bounding sphere meets a camera's view, taken generously,
        beyond the distance `near`.

        Raises:
            TriptychError: no camera sees any cell.
        """
        centres, widths = self.cell_centres(self._cells)
        radius = widths[:, 0] * (3**0.5 / 2)
        seen = torch.zeros(len(centres), dtype=torch.bool, device=self.device)
        for camera in range(len(cameras)):
            rest = (~seen).nonzero()[:, 0]
            distance = (centres[rest] - cameras.position[camera]).norm(dim=-1)
            inside = meets_view(cameras, camera, centres[rest], radius[rest])
            seen[rest] = inside & (distance + radius[rest] > near)
        if not seen.any():
            middle, width = cameras.position.mean(dim=0).tolist(), 2 ** (self.cascades - 1)
            raise TriptychError(
                f"radiance: none of the {len(cameras)} cameras sees the scene's box, which is {width} wide "
                f"around (0.5, 0.5, 0.5); they stand around ({', '.join(f'{x:.3g}' for x in middle)}); raise "
                "aabb_scale, or give transforms.json a scale and an offset that bring them nearer "
                f"(nothing nearer than {near:g} is seen: near)"
            )
        self._cells = self._cells[seen]
        self.active = torch.zeros_like(self.active)
        self.active.view(-1)[self._cells] = True
        self._refresh(self.active)

    def update(
        self,
        density: Callable[[Tensor], Tensor],
        generator: torch.Generator,
        *,
        turn: int = 0,
        turns: int = 1,
    ) -> None:
        """Lower the values of some cells, then raise them to the density found at a random point in each.

        Args:
            density: maps (n, 3) positions to (n,) densities.
            generator: source of the random points.
            turn: which of the cells are looked at: every `turns`-th one, from this one on.
            turns: in how many calls all cells are looked at.
        """
        cells = self._cells[turn % turns :: turns]
        start = torch.rand(3, generator=generator, device=self.device)
        thickness = self.thickness.view(-1)
        for begin in range(0, len(cells), BLOCK):
            block = cells[begin : begin + BLOCK]
            value = density(self._points(block, begin, start)).float() * MIN_STEP
            thickness[block] = torch.maximum(thickness[block] * DECAY**turns, value)
        # numpy's sum is one thread's: torch's depends on how many there are
        mean = float(thickness.cpu().numpy().sum()) / max(1, len(self._cells))
        self._refresh(self.thickness > min(THRESHOLD, mean))

    def _points(self, cells: Tensor, begin: int, start: Tensor) -> Tensor:
        """One point (n, 3) in each cell, by a low-discrepancy sequence whose first number is `begin`."""
        if self.device.type == "cpu":
            from triptych.kernels.radiance.occupancy import points

            return points(cells, begin, start, self.resolution)
        centres, widths = self.cell_centres(cells)
        number = torch.arange(begin, begin + len(cells), device=self.device, dtype=torch.float64)
        offsets = (
            start + number[:, None] * torch.tensor(SEQUENCE, device=self.device, dtype=torch.float64)
        ) % 1 - 0.5
        return centres + offsets.float() * widths

    def _refresh(self, own: Tensor) -> None:
        """Nest the cascades: what is occupied within shows in the middle of the cube around it."""
        occupied = own.clone()
        side, quarter = self.resolution, self.resolution // 4
        middle = slice(quarter, side - quarter)
        for cascade in range(1, self.cascades):
            occupied[cascade, middle, middle, middle] |= coarsen(occupied[cascade - 1])
        self.set_occupied(occupied)

    def set_occupied(self, occupied: Tensor) -> None:
        """Take over nested occupancy (cascades, side, side, side), for example from a file."""
        self.occupied = occupied
        self.packed: tuple[np.ndarray, np.ndarray] | None = None
        self._nearby: Tensor | None = None

    def fraction(self) -> float:
        """Share of the cells that are occupied, over those that some camera sees."""
        return float((self.occupied & self.active).sum() / max(1, len(self._cells)))

    def _lookup(self, grid: Tensor, positions: Tensor, smallest: Tensor, reach: Tensor | None) -> Tensor:
        """Read `grid` in the finest cube around each position whose cells are at least `smallest` wide."""
        relative = positions - 0.5
        index: Tensor | int = 0
        if self.cascades > 1:
            extent = relative.abs().amax(dim=-1)
            if reach is not None:
                extent = extent + reach
            cascade = torch.zeros_like(extent, dtype=torch.int64)
            for inner in range(self.cascades - 1):
                cascade += (extent > 0.5 * 2**inner) | (smallest * self.resolution > 2**inner)
            relative = relative * torch.exp2(-cascade.to(relative.dtype))[:, None]
            index = cascade
        cell = ((relative + 0.5) * self.resolution).long().clamp_(0, self.resolution - 1)
        for axis in range(3):
            index = index * self.resolution + cell[:, axis]
        return grid.view(-1)[index]

    def is_occupied(self, positions: Tensor, steps: Tensor) -> Tensor:
        """(n,) bool: whether a step of length `steps` (n,) at `positions` (n, 3) deserves a sample."""
        return self._lookup(self.occupied, positions, steps, None)

    def may_be_occupied(self, centres: Tensor, reach: Tensor) -> Tensor:
        """(n,) bool: False only if no cell within distance `reach` (n,) of `centres` (n, 3) is occupied."""
        if self._nearby is None:
            self._nearby = functional.max_pool3d(self.occupied.float(), 3, stride=1, padding=1) > 0
        found = self._lookup(self._nearby, centres, reach, reach)
        return found | (reach * self.resolution > 2 ** (self.cascades - 1))


def coarsen(occupied: Tensor) -> Tensor:
    """Halve the sides of bool cells (…, side, side, side): a cell is True where one of its eight was."""
    pairs = occupied[..., ::2, :, :] | occupied[..., 1::2, :, :]
    pairs = pairs[..., ::2, :] | pairs[..., 1::2, :]
    return pairs[..., ::2] | pairs[..., 1::2]
