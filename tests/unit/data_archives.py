"""Small CIFAR archives for the tests, made without the library."""

import io
import pickle
import tarfile
from pathlib import Path

import numpy as np

BATCHES = "cifar-10-batches-py"


def random_batches(per_batch: int = 20, seed: int = 0) -> dict[str, dict[bytes, object]]:
    """The dictionaries of a CIFAR-10 with `per_batch` images a file."""
    random = np.random.default_rng(seed)
    names = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    batches: dict[str, dict[bytes, object]] = {
        name: {
            b"data": random.integers(0, 256, (per_batch, 3072), dtype=np.uint8),
            b"labels": [index % 10 for index in range(per_batch)],
        }
        for name in names
    }
    batches["batches.meta"] = {b"label_names": [f"class {label}".encode() for label in range(10)]}
    return batches


def member_bytes(batches: dict[str, dict[bytes, object]], protocol: int = 4) -> dict[str, bytes]:
    """Archive members by path."""
    return {f"{BATCHES}/{name}": pickle.dumps(batch, protocol) for name, batch in batches.items()}


def write_tar(path: Path, members: dict[str, bytes], *extra: tarfile.TarInfo, mode: str = "w:gz") -> Path:
    """A tar archive of these members, preceded by `extra` ones without content."""
    with tarfile.open(path, mode) as tar:
        for info in extra:
            tar.addfile(info)
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_unpacked(folder: Path, members: dict[str, bytes]) -> Path:
    """The members as files."""
    for name, content in members.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder
