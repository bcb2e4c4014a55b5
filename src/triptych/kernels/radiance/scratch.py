"""Large arrays that are used anew in every step: fresh memory costs more than what is done in it."""

import math
from typing import Any

import numpy as np

LINE = 64  # bytes of a cache line, where every array begins
SPARE = 1.25  # how much larger than asked for a buffer is made, as sizes vary from step to step


class Scratch:
    """Named buffers. An array is valid until its name is asked for again; its content is arbitrary."""

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
