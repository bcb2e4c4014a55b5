"""Packed data sets: plain `.npy` arrays and one `dataset.json`, whatever the source was."""

import hashlib
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.data.splits import stratified_subset
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, read_json, write_array, write_json

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Superclasses:
    """Groups of classes: their names, and for each class the index of its group."""

    names: tuple[str, ...]
    of_class: tuple[int, ...]


@dataclass(frozen=True)
class LabelledImages:
    """A data set in memory.

    Attributes:
        train_images, test_images: (N, H, W, 3) uint8.
        train_labels, test_labels: (N,) int64, indices of `classes`.
        classes: their names, whether or not each has images.
        source: the source of the images, with what identifies them (hashes, seeds).
        superclasses: groups of the classes, if the source has any.
    """

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: Mapping[str, Any]
    superclasses: Superclasses | None = None

    def subset(self, *, train_size: int | None, test_size: int | None, seed: int) -> "LabelledImages":
        """Keep `train_size` and `test_size` images (None: all), drawn class by class from `seed`.

        Raises:
            TriptychError: there are fewer images than that.
        """
        result = self
        for part, size in (("train", train_size), ("test", test_size)):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if size is None:
                continue
            if size > len(labels):
                raise TriptychError(f"{part}_size is {size}, but there are {len(labels)} {part} images")
            kept = stratified_subset(labels, size, seed)
            result = replace(result, **{f"{part}_images": images[kept], f"{part}_labels": labels[kept]})
        return result


@dataclass(frozen=True, kw_only=True)
class PackedDataset(LabelledImages):
    """A data set on disk.

    Images are mapped copy-on-write: reading costs no memory up front, and writing to them never
    reaches the file.

    Attributes:
        name: the data set's name in the config.
        mean, std: channel statistics of the training images, for pixels scaled to 0..1.
        digest: identifies the arrays.
    """

    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str

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


def _check(images: LabelledImages, name: str) -> None:
    """Raise unless the arrays are as `LabelledImages` says, and no part is empty."""
    for part in ("train", "test"):
        pixels, labels = getattr(images, f"{part}_images"), getattr(images, f"{part}_labels")
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or labels.dtype != np.int64:
            raise ValueError(
                f"{part}: expected (N, H, W, 3) uint8 and int64, got {pixels.shape} {pixels.dtype}"
            )
        if labels.shape != pixels.shape[:1] or pixels.shape[1:] != images.train_images.shape[1:]:
            raise ValueError(f"{part}: shapes {pixels.shape} and {labels.shape} do not belong together")
        if len(labels) == 0:
            raise TriptychError(f"data set '{name}' has no {part} images; check its source in the config")
        if labels.min() < 0 or labels.max() >= len(images.classes):
            raise ValueError(f"{part}: labels outside 0..{len(images.classes) - 1}")
    groups = images.superclasses
    if groups is not None and len(groups.of_class) != len(images.classes):
        raise ValueError(f"{len(groups.of_class)} classes have a superclass, not {len(images.classes)}")


def save_packed(
    folder: str | Path, images: LabelledImages, *, name: str, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a data set's arrays and `dataset.json` into `folder`, all of them or none.

    Returns:
        The content of `dataset.json`.

    Raises:
        TriptychError: a part without images.
        ValueError: arrays that break the contract of `LabelledImages`.
        OSError: the disk is full; nothing is left behind.
    """
    _check(images, name)
    arrays = {key: getattr(images, key) for key in ARRAYS}
    groups = images.superclasses
    mean, std = channel_statistics(images.train_images)
    description = {
        "name": name,
        "classes": list(images.classes),
        "superclasses": groups and list(groups.names),
        "superclass_of_class": groups and list(groups.of_class),
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
            write_array(renames.enter_context(atomic_path(folder / f"{key}.npy")), array)
    return description


def load_packed(folder: str | Path) -> PackedDataset:
    """Open a packed data set.

    Raises:
        TriptychError: a file is missing, damaged, or does not fit the others.
    """
    folder = Path(folder)
    remedy = f"delete {folder} and run again"
    try:
        description = read_json(folder / "dataset.json")
        arrays = {
            key: np.load(folder / f"{key}.npy", mmap_mode="c" if key.endswith("images") else None)
            for key in ARRAYS
        }
        counts, groups = description["counts"], description.get("superclasses")
        packed = PackedDataset(
            **arrays,
            classes=tuple(description["classes"]),
            mean=tuple(description["mean"]),
            std=tuple(description["std"]),
            **{key: description[key] for key in ("name", "digest", "source")},
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
