"""Several arrays in one `.npz` file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path


def write_arrays(target: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the arrays atomically; the same arrays give the same bytes."""
    named: dict[str, Any] = dict(arrays)
    with atomic_path(target) as temporary:
        np.savez_compressed(temporary, **named)


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote.

    Raises:
        TriptychError: the file is damaged.
    """
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
        raise TriptychError(f"{path} cannot be read ({error}); delete it and run again") from error
