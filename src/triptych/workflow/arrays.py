"""Plain `.npy` files."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write `.npy`. `numpy.save` would hide a full disk: it raises OSError without an errno."""
    array = np.ascontiguousarray(array)
    with path.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, np.lib.format.header_data_from_array_1_0(array))
        stream.write(array.data)
