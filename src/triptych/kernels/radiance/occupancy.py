"""An occupancy grid as the kernels read it: packed into bits."""

import numpy as np
import torch
from torch.utils.weak import WeakIdKeyDictionary

from triptych.radiance.occupancy_grid import OccupancyGrid, coarsen

_packed = WeakIdKeyDictionary()  # by the grid's tensor, which is replaced whenever cells change


def packed_occupancy(occupancy: OccupancyGrid) -> tuple[np.ndarray, np.ndarray]:
    """Occupied cells as bits, eight to a byte, and 4 x 4 x 4 blocks of cells as (cascades, side / 4, …) bytes."""
    cells = occupancy.occupied
    if cells not in _packed:
        bits = np.packbits(cells.numpy(), bitorder="little")
        blocks = coarsen(coarsen(cells))
        _packed[cells] = (bits, blocks.contiguous().view(torch.uint8).numpy())
    packed: tuple[np.ndarray, np.ndarray] = _packed[cells]
    return packed
