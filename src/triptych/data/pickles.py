"""Reading the pickles of the CIFAR archives without running anything that they contain.

A pickle is a program. This unpickler allows three functions, all defined here, which is enough for an
array of bytes; any other name, and with it any code, is refused. Nothing of NumPy is called either. A short
pickle can stand for a huge value, so instructions, values and bytes are counted.
"""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError, printable

MAX_INSTRUCTIONS = 1_000_000  # the official files have a quarter of a million
MAX_VALUES = 1_000_000
# Instructions that no CIFAR file needs: other objects, and numbers of any length.
REFUSED = {
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
    *("LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "DUP", "EMPTY_SET", "ADDITEMS", "FROZENSET"),
    *("NEXT_BUFFER", "READONLY_BUFFER"),
}


def _check_instructions(content: bytes) -> None:
    """Raise `UnpicklingError` or `ValueError` before anything is built from instructions out of bounds."""
    for count, (instruction, argument, _) in enumerate(pickletools.genops(content)):
        if count >= MAX_INSTRUCTIONS:
            raise pickle.UnpicklingError("it has too many instructions")
        if instruction.name in REFUSED:
            raise pickle.UnpicklingError(f"{instruction.name}, which no CIFAR file needs")
        # Python reserves memory for all places of its memo up to the highest one.
        limit = MAX_INSTRUCTIONS if "PUT" in instruction.name else 2**31
        if isinstance(argument, int) and abs(argument) > limit:
            raise pickle.UnpicklingError(f"{instruction.name} with the number {argument}")


class _Dtype:
    """Stands in for numpy.dtype."""

    def __init__(self, name: str | bytes, *_: object) -> None:
        self.name = name.decode() if isinstance(name, bytes) else str(name)

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: without meaning for single bytes."""


class _Array:
    """Stands in for numpy.ndarray until its bytes are known."""

    def __init__(self, content: Any = None, dtype: Any = None, shape: Any = None, order: str = "C") -> None:
        self.content, self.dtype, self.shape, self.order = content, dtype, shape, order

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self.shape, self.dtype, fortran_order, self.content = state
        self.order = "F" if fortran_order else "C"

    def values(self) -> NDArray[np.uint8]:
        """The array."""
        if not isinstance(self.dtype, _Dtype) or self.dtype.name.strip("|<>=") not in ("u1", "uint8", "B"):
            raise pickle.UnpicklingError("an array that is not of bytes")
        content = self.content.text if isinstance(self.content, _Encoded) else self.content
        if isinstance(content, str):  # a Python 3 pickle of protocol 2 or less
            content = content.encode("latin1")
        return np.frombuffer(content, np.uint8).reshape(self.shape, order="F" if self.order == "F" else "C")


class _Encoded:
    """Stands in for the bytes of a text."""

    def __init__(self, text: str, encoding: str = "latin1") -> None:
        if encoding != "latin1" or not isinstance(text, str):
            raise pickle.UnpicklingError(f"text encoding {encoding}")
        self.text = text


_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encoded,
}
for _core in ("numpy.core", "numpy._core"):  # numpy 2 renamed it
    _ALLOWED[_core + ".multiarray", "_reconstruct"] = lambda *_: _Array()
    _ALLOWED[_core + ".numeric", "_frombuffer"] = _Array


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """One of the few functions that are allowed."""
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it calls {module}.{name}, which no CIFAR file needs")
        return _ALLOWED[module, name]


class _Plain:
    """Arrays for their stand-ins and text for Python 2 strings; `budget` bounds all values and bytes."""

    def __init__(self, budget: int) -> None:
        self.budget = budget

    def __call__(self, value: Any) -> Any:
        text = value.content if isinstance(value, _Array) else value
        self.budget -= 1 + (len(text) if isinstance(text, bytes | bytearray | str) else 0)
        if self.budget < 0:
            raise pickle.UnpicklingError("it stands for far more values than are in it")
        if isinstance(value, dict):
            return {self(key): self(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self(item) for item in value]
        if isinstance(value, bytes):
            return value.decode("latin1")
        if isinstance(value, _Encoded):
            return self(value.text)
        return value.values() if isinstance(value, _Array) else value


def load_pickled_dict(content: bytes, where: str) -> dict[str, Any]:
    """A pickled dictionary of text, numbers, lists and uint8 arrays, from Python 2 or 3.

    `where` is its name in messages. Raises `TriptychError` if it is damaged, something else, or in need of
    code.
    """
    try:
        _check_instructions(content)
        loaded = _Unpickler(io.BytesIO(content), encoding="bytes").load()
        value = _Plain(MAX_VALUES + 2 * len(content))(loaded)
        if not isinstance(value, dict):
            raise pickle.UnpicklingError("no dictionary")
    except Exception as error:  # hostile bytes can raise anything at all
        reason = printable(str(error) or type(error).__name__)
        raise TriptychError(
            f"{where} is not a CIFAR batch file ({reason}); get the official archive"
        ) from error
    return value
