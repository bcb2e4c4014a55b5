"""Occupancy grid: the cells of space that are worth sampling (Müller et al. 2022, appendix E.2)."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.frustum_culling import sphere_in_view
from triptych.radiance.step_schedule import MIN_STEP
from triptych.scenes.cameras import Cameras

DECAY = 0.95
THRESHOLD = 0.01  # optical thickness of a shortest step, above which a cell is occupied
BLOCK = 2**18  # cells updated at once
# Roberts' low-discrepancy sequence R3: powers of 1 / 1.2207…
SEQUENCE = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)


class OccupancyGrid:
    """Nested cubes around (0.5, 0.5, 0.5) of `resolution`³ cells, each twice as wide as the next inner one.

    Every cell keeps a decaying maximum of the optical thickness of a shortest step in it (`density_ema`), and
    is occupied while that exceeds a threshold. A cell of an outer cube is also occupied if any cell within it
    is, so that long steps can read coarse cells. The outermost cube has the side `aabb_scale`, a power of
    two; the resolution is a multiple of 8.
    """

    def __init__(self, *, aabb_scale: int, resolution: int, device: torch.device) -> None:
        self.resolution, self.device = resolution, device
        self.cascades = aabb_scale.bit_length()
        shape = (self.cascades, resolution, resolution, resolution)
        self.density_ema = torch.zeros(shape, device=device)
        active = torch.ones(shape, dtype=torch.bool, device=device)
        quarter = slice(resolution // 4, resolution - resolution // 4)
        # the next inner cube describes the middle of every outer one
        active[1:, quarter, quarter, quarter] = False
        self._set_active(active)
        self.set_cells(active)

    def _set_active(self, active: Tensor) -> None:
        """Choose the cells that may ever be occupied, (cascades, side, side, side) bool."""
        self.active = active
        self._cells = active.flatten().nonzero()[:, 0]
        cascade, *index = self._unravel(self._cells)
        self._index = torch.stack(index).to(torch.int16)
        self._extent = torch.exp2(cascade.float())  # side of the cube

    def _unravel(self, cells: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Cascade and x, y, z indices of cells given by flat positions in `occupied`."""
        side = self.resolution
        return cells // side**3, cells // side**2 % side, cells // side % side, cells % side

    def cell_centres(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Centres (n, 3) and widths (n, 1) of cells given by flat positions in `occupied`."""
        side = self.resolution
        cascade, *index = self._unravel(cells)
        extent = 2.0 ** cascade[:, None]
        return ((torch.stack(index, dim=-1) + 0.5) / side - 0.5) * extent + 0.5, extent / side

    def cull_unseen_cells(self, cameras: Cameras, *, near: float) -> None:
        """Deactivate the cells that lie outside all cameras' frustums, for the rest of the training.

        A cell is seen if its bounding sphere reaches into a camera's frustum beyond the distance `near`.
        """
        centres, widths = self.cell_centres(self._cells)
        radius = widths[:, 0] * (3**0.5 / 2)
        seen = torch.zeros(len(centres), dtype=torch.bool, device=self.device)
        for camera in range(len(cameras)):
            rest = (~seen).nonzero()[:, 0]
            distance = (centres[rest] - cameras.position[camera]).norm(dim=-1)
            inside = sphere_in_view(cameras, camera, centres[rest], radius[rest])
            seen[rest] = inside & (distance + radius[rest] > near)
        active = torch.zeros_like(self.active)
        active.view(-1)[self._cells[seen]] = True
        self._set_active(active)
        self.set_cells(active)

    def update(
        self,
        density: Callable[[Tensor], Tensor],
        generator: torch.Generator,
        *,
        turn: int = 0,
        turns: int = 1,
    ) -> None:
        """Decay the values of some cells, and raise them to the density at a random point in each.

        The densities (n,) are those at (n, 3) positions. Update number `turn` covers every `turns`-th cell,
        beginning with this one.
        """
        chosen = slice(turn % turns, None, turns)
        cells, index, extent = self._cells[chosen], self._index[:, chosen], self._extent[chosen]
        start = torch.rand(3, generator=generator, device=self.device).double()[:, None]
        step = torch.tensor(SEQUENCE, device=self.device, dtype=torch.float64)[:, None]
        ema = self.density_ema.view(-1)
        for begin in range(0, len(cells), BLOCK):
            block = slice(begin, begin + BLOCK)
            number = torch.arange(begin, begin + len(cells[block]), device=self.device, dtype=torch.float64)
            offset = start + number * step
            width = extent[block].double() / self.resolution
            points = (index[:, block] + (offset - offset.floor()) - 0.5 * self.resolution) * width + 0.5
            value = density(points.float().t()).float() * MIN_STEP
            ema[cells[block]] = torch.maximum(ema[cells[block]] * DECAY**turns, value)
        # numpy's sum runs in one thread; torch's depends on the number of threads
        mean = float(ema.cpu().numpy().sum()) / max(1, len(self._cells))
        self.set_cells(self.density_ema > min(THRESHOLD, mean))

    def set_cells(self, cells: Tensor) -> None:
        """Set the occupancy from each cube's cells; a cell around an occupied inner one is occupied, too."""
        occupied = cells.clone()
        side, quarter = self.resolution, self.resolution // 4
        middle = slice(quarter, side - quarter)
        for cascade in range(1, self.cascades):
            occupied[cascade, middle, middle, middle] |= coarsen(occupied[cascade - 1])
        self.set_occupied(occupied)

    def set_occupied(self, occupied: Tensor) -> None:
        """Replace the occupancy (cascades, side, side, side) of the nested cubes, for example from a file."""
        self.occupied = occupied
        self._nearby: Tensor | None = None

    def crop(self, low: Sequence[float], high: Sequence[float]) -> "OccupancyGrid":
        """A copy that is empty outside a box, given by its corners in the unit cube and enlarged to whole
        cells.

        It is empty everywhere if `high` is not above `low`.
        """
        side = self.resolution
        edges = torch.arange(side + 1, device=self.device) / side - 0.5
        occupied = self.occupied.clone()
        for cascade in range(self.cascades):
            planes = edges * 2**cascade + 0.5
            for axis in range(3):
                overlaps = (planes[:-1] < high[axis]) & (planes[1:] > low[axis]) & (low[axis] < high[axis])
                shape = [1, 1, 1]
                shape[axis] = side
                occupied[cascade] &= overlaps.view(shape)
        cropped = OccupancyGrid(aabb_scale=2 ** (self.cascades - 1), resolution=side, device=self.device)
        cropped.set_occupied(occupied)
        return cropped

    def fraction(self) -> float:
        """Fraction of the active cells that are occupied."""
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
        """(n,) bool: whether to sample a step of length `steps` (n,) at `positions` (n, 3)."""
        return self._lookup(self.occupied, positions, steps, None)

    def may_be_occupied(self, centres: Tensor, reach: Tensor) -> Tensor:
        """(n,) bool: False only if no cell within distance `reach` (n,) of `centres` (n, 3) is occupied."""
        if self._nearby is None:
            self._nearby = functional.max_pool3d(self.occupied.float(), 3, stride=1, padding=1) > 0
        found = self._lookup(self._nearby, centres, reach, reach)
        return found | (reach * self.resolution > 2 ** (self.cascades - 1))


def coarsen(occupied: Tensor) -> Tensor:
    """Halve the sides of bool cells (…, side, side, side): a cell is True if any of its eight is."""
    pairs = occupied[..., ::2, :, :] | occupied[..., 1::2, :, :]
    pairs = pairs[..., ::2, :] | pairs[..., 1::2, :]
    return pairs[..., ::2] | pairs[..., 1::2]
