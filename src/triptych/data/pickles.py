"""Reading the pickles of the CIFAR archives without running anything that they contain.

A pickle is a program. This unpickler allows three functions, all defined here, which is enough for an
array of bytes; any other name, and with it any code, is refused. Nothing of NumPy is called either.
"""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, name: str | bytes, *_: object) -> None:
        self.name = name.decode() if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: without meaning for single bytes."""


class _Array:
    """Stands in for numpy.ndarray until its bytes are known."""

    values: NDArray[np.uint8] | None = None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, dtype, fortran_order, content = state
        self.values = _array(content, dtype, shape, "F" if fortran_order else "C").values


def _array(content: Any, dtype: Any, shape: Any, order: str) -> _Array:
    if not isinstance(dtype, _Dtype) or dtype.name.strip("|<>=") not in ("u1", "uint8", "B"):
        raise pickle.UnpicklingError("an array that is not of bytes")
    if isinstance(content, str):  # a Python 3 pickle of protocol 2 or less
        content = content.encode("latin1")
    array = _Array()
    array.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if order == "F" else "C")
    return array


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text encoding {encoding}")
    return text.encode("latin1")


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}
for _core in ("numpy.core", "numpy._core"):  # numpy 2 renamed it
    _ALLOWED[_core + ".multiarray", "_reconstruct"] = lambda *_: _Array()
    _ALLOWED[_core + ".numeric", "_frombuffer"] = _array


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """One of the few functions that are allowed."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which no CIFAR file needs")
        return _ALLOWED[module, name]


def _plain(value: Any) -> Any:
    """Arrays for their stand-ins and text for Python 2 strings, in nested containers."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.decode("latin1")
    return value.values if isinstance(value, _Array) else value


def load_pickled_dict(content: bytes, where: str) -> dict[str, Any]:
    """A pickled dictionary of text, numbers, lists and uint8 arrays, from Python 2 or 3.

    Args:
        content: the pickle.
        where: its name in error messages.

    Raises:
        TriptychError: damaged, something else than such a dictionary, or in need of code.
    """
    try:
        value = _plain(_Unpickler(io.BytesIO(content), encoding="bytes").load())
        if not isinstance(value, dict):
            raise pickle.UnpicklingError("no dictionary")
    except Exception as error:  # hostile bytes can raise anything at all
        reason = str(error) or type(error).__name__
        raise TriptychError(
            f"{where} is not a CIFAR batch file ({reason}); get the official archive"
        ) from error
    return value
