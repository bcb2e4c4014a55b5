"""An occupancy grid as kernels want it, and points in its cells."""

import numpy as np
import torch
from torch import Tensor

from triptych.kernels.compiler.jit import kernel
from triptych.kernels.compiler.threads import parallel
from triptych.radiance.occupancy_grid import SEQUENCE, OccupancyGrid, coarsen

TASK = 2**14  # cells a task


def packed_occupancy(occupancy: OccupancyGrid) -> tuple[np.ndarray, np.ndarray]:
    """A bit for each cell, eight to a byte, and (cascades, side / 4, …) bytes, kept until cells change."""
    if occupancy.packed is None:
        bits = np.packbits(occupancy.occupied.numpy(), bitorder="little")
        blocks = coarsen(coarsen(occupancy.occupied))
        occupancy.packed = (bits, blocks.contiguous().view(torch.uint8).numpy())
    return occupancy.packed


@kernel
def _points(task, cells, begin, start, sequence, side, out):
    for place in range(task * TASK, min(len(cells), (task + 1) * TASK)):
        cell = cells[place]
        index = cell // (side * side * side)
        width = 2.0**index / side
        for axis in range(3):
            shift = (start[axis] + (begin + place) * sequence[axis]) % 1.0
            step = side * side if axis == 0 else (side if axis == 1 else 1)
            out[axis, place] = (cell // step % side + shift - 0.5 * side) * width + 0.5


def points(cells: Tensor, begin: int, start: Tensor, side: int) -> Tensor:
    """As `OccupancyGrid._points`: (n, 3), stored by axis."""
    out = np.empty((3, len(cells)), np.float32)
    parallel(
        _points,
        -(-len(cells) // TASK),
        cells.numpy(),
        begin,
        start.double().numpy(),
        np.array(SEQUENCE),
        side,
        out,
    )
    return torch.from_numpy(out).t()
