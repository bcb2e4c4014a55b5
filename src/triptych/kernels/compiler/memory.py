"""Memory that begins at a cache line."""

import numpy as np

from triptych.kernels.compiler.jit import kernel

LINE = 64  # bytes of a cache line


def aligned(values: np.ndarray) -> np.ndarray:
    """A copy that begins at a cache line: kernels load a line at a time."""
    copy: np.ndarray = matrix.py_func(values.size, 1, values).reshape(values.shape)
    copy[...] = values
    return copy


@kernel
def matrix(rows, columns, like):
    """A matrix of the type of the array `like`, of arbitrary content, that begins at a cache line."""
    size = rows * columns * like.itemsize
    buffer = np.empty(size + LINE, np.uint8)
    start = -buffer.ctypes.data % LINE
    return buffer[start : start + size].view(like.dtype).reshape((rows, columns))
