"""Memory that begins at a cache line, and buffers that are used anew in every step."""

import math
from typing import Any

import numpy as np

from triptych.kernels.compiler.jit import kernel

LINE = 64  # bytes of a cache line
SPARE = 1.25  # how much larger than needed a buffer is made, as sizes vary from step to step


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


class Scratch:
    """Named buffers, valid until a name is used again: fresh memory costs more than a kernel's work in it."""

    def __init__(self) -> None:
        self._buffers: dict[str, np.ndarray] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float32) -> np.ndarray:
        """An array of this shape and type."""
        needed = math.prod(shape) * np.dtype(dtype).itemsize
        buffer = self._buffers.get(name)
        if buffer is None or buffer.nbytes < needed:
            self._buffers.pop(name, None)
            whole = np.empty(int(needed * SPARE) + 2 * LINE, np.uint8)
            buffer = self._buffers[name] = whole[-whole.ctypes.data % LINE :]
        return buffer[:needed].view(dtype).reshape(shape)
