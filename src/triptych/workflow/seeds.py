"""Randomness as a pure function of (seed, epoch, step) and names.

With a global generator, results would depend on what ran before. Here a resumed run draws the same numbers
as an uninterrupted one.
"""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from any number of integers and strings, stable across machines and versions."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def numpy_generator(*parts: int | str) -> np.random.Generator:
    """A NumPy generator for these parts."""
    return np.random.default_rng(derive_seed(*parts))


def torch_generator(device: "torch.device | str", *parts: int | str) -> "torch.Generator":
    """A torch generator on `device` for these parts."""
    import torch

    return torch.Generator(device=device).manual_seed(derive_seed(*parts))
