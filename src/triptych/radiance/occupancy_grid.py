"""Which cells of space are worth sampling (Müller et al. 2022, appendix E.2)."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.cameras import Cameras, undistort
from triptych.radiance.stepping import MIN_STEP

DECAY = 0.95
THRESHOLD = 0.01  # optical thickness of a shortest step
BLOCK = 2**17


class OccupancyGrid:
    """Nested cubes around (0.5, 0.5, 0.5), each of `resolution`³ cells, each twice as wide as the one within.

    Every cell keeps a decaying maximum of the optical thickness that a shortest step meets in
    it; it is occupied while that passes a threshold. A cell of an outer cube also is occupied
    if any cell within it is, so that long steps may look at coarse cells.

    Args:
        aabb_scale: side of the outermost cube, a power of two.
        resolution: cells a side, even.
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

        A cell counts as seen if its bounding sphere meets the pyramid of a camera's image,
        taken generously, beyond the distance `near`.
        """
        centres, widths = self.cell_centres(self._cells)
        radius = widths[:, 0] * (3**0.5 / 2)
        seen = torch.zeros(len(centres), dtype=torch.bool, device=self.device)
        for camera in range(len(cameras)):
            low, high = _image_bounds(cameras, camera)
            rest = (~seen).nonzero()[:, 0]
            local = (centres[rest] - cameras.position[camera]) @ cameras.rotation[camera]
            distance, reach = local[:, 2:], radius[rest, None]
            # signed distances to the pyramid's four sides
            outside_low = (low * distance - local[:, :2]) / (1 + low * low).sqrt()
            outside_high = (local[:, :2] - high * distance) / (1 + high * high).sqrt()
            inside = ((outside_low < reach) & (outside_high < reach)).all(dim=-1)
            seen[rest] = inside & (local.norm(dim=-1) + reach[:, 0] > near)
        self._cells = self._cells[seen]
        self.active = torch.zeros_like(self.active)
        self.active.view(-1)[self._cells] = True
        self._refresh(self.active)

    def update(
        self, density: Callable[[Tensor], Tensor], generator: torch.Generator, *, everywhere: bool
    ) -> None:
        """Decay all values, then raise sampled cells to the density found at a random point in each.

        Args:
            density: maps (n, 3) positions to (n,) densities.
            generator: source of the random points and cells.
            everywhere: sample all active cells; otherwise a quarter of them at random, and as
                many again among the occupied ones.
        """
        cells = self._cells
        if not everywhere:
            count = max(1, len(self._cells) // 4)
            occupied = (self.occupied & self.active).flatten().nonzero()[:, 0]
            cells = torch.cat([_draw(self._cells, count, generator), _draw(occupied, count, generator)])
        found = torch.zeros_like(self.thickness).flatten()
        for start in range(0, len(cells), BLOCK):
            block = cells[start : start + BLOCK]
            centres, widths = self.cell_centres(block)
            offsets = torch.rand(centres.shape, generator=generator, device=self.device) - 0.5
            value = density(centres + offsets * widths) * MIN_STEP
            found.scatter_reduce_(0, block, value.float(), "amax")
        self.thickness = torch.maximum(self.thickness * DECAY, found.view_as(self.thickness))
        mean = self.thickness.flatten()[self._cells].mean() if len(self._cells) else torch.tensor(0.0)
        self._refresh((self.thickness > mean.clamp(max=THRESHOLD)) & self.active)

    def _refresh(self, own: Tensor) -> None:
        """Nest the cascades: what is occupied within shows in the middle of the cube around it."""
        occupied = own.clone()
        side, quarter = self.resolution, self.resolution // 4
        middle = slice(quarter, side - quarter)
        for cascade in range(1, self.cascades):
            inner = functional.max_pool3d(occupied[cascade - 1][None].float(), 2)[0] > 0
            occupied[cascade, middle, middle, middle] |= inner
        self.set_occupied(occupied)

    def set_occupied(self, occupied: Tensor) -> None:
        """Take over nested occupancy (cascades, side, side, side), for example from a file."""
        self.occupied = occupied
        self._nearby = functional.max_pool3d(occupied.float(), 3, stride=1, padding=1) > 0

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
        found = self._lookup(self._nearby, centres, reach, reach)
        return found | (reach * self.resolution > 2 ** (self.cascades - 1))


def _draw(cells: Tensor, count: int, generator: torch.Generator) -> Tensor:
    if len(cells) == 0:
        return cells
    return cells[torch.randint(len(cells), (count,), generator=generator, device=cells.device)]


def _image_bounds(cameras: Cameras, camera: int, samples: int = 32) -> tuple[Tensor, Tensor]:
    """Bounds (2,) of x/z and y/z over the image's border, with the lens distortion undone."""
    line = torch.linspace(0, 1, samples, device=cameras.focal.device)
    zero, one = torch.zeros_like(line), torch.ones_like(line)
    sides = [(line, zero), (line, one), (zero, line), (one, line)]
    border = torch.cat([torch.stack(side, dim=-1) for side in sides]) * cameras.size[camera]
    plane = (border - cameras.centre[camera]) / cameras.focal[camera]
    ideal = undistort(plane, cameras.distortion[camera])
    return ideal.amin(dim=0), ideal.amax(dim=0)
