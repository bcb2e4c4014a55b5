"""Packed data sets: plain `.npy` arrays and one `dataset.json`, whatever the source was."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.arrays import write_array
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, read_json, write_json

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Superclasses:
    """Groups of classes: their names, and for each class the index of its group."""

    names: tuple[str, ...]
    of_class: tuple[int, ...]


@dataclass(frozen=True)
class LabelledImages:
    """What a source delivers.

    Images are (N, H, W, 3) uint8, labels (N,) int64 and index `classes`. `superclasses` groups the
    classes where the source does.
    `source` says where the images came from, with whatever identifies them (hashes, seeds).
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: Mapping[str, Any]
    superclasses: Superclasses | None = None


@dataclass(frozen=True)
class PackedDataset:
    """A data set as `load_packed` finds it.

    Images are (N, H, W, 3) uint8, mapped from disk copy-on-write: reading costs no memory up
    front, and writing to them never reaches the file. Labels are (N,) int64. `mean` and `std` are
    the training images' channel statistics, for pixels scaled to 0..1. `digest` identifies the arrays.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str
    superclasses: Superclasses | None = None

    @property
    def num_classes(self) -> int:
        """Number of classes, whether or not each has images."""
        return len(self.classes)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.train_images.shape[1:3]
        return int(height), int(width)


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and population standard deviation of each channel of (N, H, W, 3) images scaled to 0..1.

    Counted from histograms, hence exact to rounding for any number of images.
    """
    histograms = np.zeros((3, 256))
    for block in np.array_split(images, max(1, images.size // 2**26)):
        for channel in range(3):
            histograms[channel] += np.bincount(block[..., channel].ravel(), minlength=256)
    values = np.arange(256) / 255
    weights = histograms / histograms.sum(axis=1, keepdims=True)
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(axis=1)
    return mean.tolist(), np.sqrt(variance).tolist()


def arrays_digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Hex SHA-256 over names, types, shapes and contents."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def save_packed(
    folder: str | Path, images: LabelledImages, *, name: str, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a data set's arrays and `dataset.json` into `folder`, all of them or none.

    Returns:
        What `dataset.json` holds.

    Raises:
        TriptychError: a part without images.
        ValueError: arrays that break the contract of `LabelledImages`.
        OSError: the disk is full; nothing is left behind.
    """
    arrays = {key: getattr(images, key) for key in ARRAYS}
    for part in ("train", "test"):
        pixels, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or labels.dtype != np.int64:
            raise ValueError(f"{part}: want (N, H, W, 3) uint8 and int64, got {pixels.shape} {pixels.dtype}")
        if labels.shape != pixels.shape[:1] or pixels.shape[1:] != images.train_images.shape[1:]:
            raise ValueError(f"{part}: shapes {pixels.shape} and {labels.shape} do not belong together")
        if len(labels) == 0:
            raise TriptychError(f"data set '{name}' has no {part} images; check its source in the config")
        if labels.min() < 0 or labels.max() >= len(images.classes):
            raise ValueError(f"{part}: labels outside 0..{len(images.classes) - 1}")
    groups = images.superclasses
    if groups is not None and len(groups.of_class) != len(images.classes):
        raise ValueError(f"{len(groups.of_class)} classes have a superclass, not {len(images.classes)}")
    mean, std = channel_statistics(images.train_images)
    description = {
        "name": name,
        "classes": list(images.classes),
        "superclasses": None if groups is None else list(groups.names),
        "superclass_of_class": None if groups is None else list(groups.of_class),
        "counts": {"train": len(images.train_labels), "test": len(images.test_labels)},
        "image_size": list(images.train_images.shape[1:3]),
        "mean": mean,
        "std": std,
        "digest": arrays_digest(arrays),
        "source": dict(images.source),
        "provenance": dict(provenance),
    }
    folder = Path(folder)
    with ExitStack() as renames:  # undone in reverse order: dataset.json appears last
        write_json(renames.enter_context(atomic_path(folder / "dataset.json")), description)
        for key, array in arrays.items():
            temporary = renames.enter_context(atomic_path(folder / f"{key}.npy"))
            write_array(temporary, array)
    return description


def load_packed(folder: str | Path) -> PackedDataset:
    """Open a packed data set.

    Raises:
        TriptychError: a file is missing, damaged, or does not fit the others.
    """
    folder = Path(folder)
    remedy = f"delete {folder} and run again to pack it anew"
    try:
        description = read_json(folder / "dataset.json")
        arrays = {
            key: np.load(folder / f"{key}.npy", mmap_mode="c" if key.endswith("images") else None)
            for key in ARRAYS
        }
        counts = description["counts"]
        groups = description.get("superclasses")
        packed = PackedDataset(
            name=description["name"],
            **arrays,
            classes=tuple(description["classes"]),
            mean=tuple(description["mean"]),
            std=tuple(description["std"]),
            digest=description["digest"],
            superclasses=Superclasses(tuple(groups), tuple(description["superclass_of_class"]))
            if groups
            else None,
        )
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise TriptychError(f"packed data set {folder} cannot be read ({error}); {remedy}") from error
    for part in ("train", "test"):
        if not len(arrays[f"{part}_images"]) == len(arrays[f"{part}_labels"]) == counts[part]:
            raise TriptychError(f"packed data set {folder}: the {part} files do not fit together; {remedy}")
    return packed
