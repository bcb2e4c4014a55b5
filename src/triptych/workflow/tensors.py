"""Tensors by name in a `.safetensors` file."""

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save
from torch import Tensor


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write contiguous CPU tensors. `save_file` would hide a full disk: it raises an error without an errno.

    Raises:
        OSError: the disk is full, or whatever else the system says.
    """
    path.write_bytes(save(dict(tensors)))
