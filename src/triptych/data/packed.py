"""Packed data sets: plain `.npy` arrays and one `dataset.json`, whatever the source was.

`digest.txt` identifies what the arrays and their description mean to a training. It is the input by which
results notice that a data set has changed: packing the same images again changes no result.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from triptych.data.splits import Indices, stratified_split, stratified_subset
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path, digest_of_value, read_json, write_blocks, write_json

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Superclasses:
    """Groups of classes: their names, and for each class the index of its group."""

    names: tuple[str, ...]
    of_class: tuple[int, ...]


class UnreadImages(Protocol):
    """Images (N, H, W, 3) uint8 that are read while they are packed, as memory may not hold them."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, 3)."""
        ...

    def __getitem__(self, indices: Indices) -> "UnreadImages":
        """The images at these indices."""
        ...

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """The images in order, some at a time."""
        ...


@dataclass(frozen=True)
class LabelledImages:
    """A data set.

    Attributes:
        train_images, test_images: (N, H, W, 3) uint8.
        train_labels, test_labels: (N,) int64, indices of `classes`; -1 without labels.
        classes: their names, whether or not each has images; () without labels.
        source: the source of the images, with what identifies them (hashes, seeds).
        superclasses: groups of the classes, if the source has any.
        validation: number of training images, the last ones, that the source names as the validation split.
        side: side in pixels at which networks read the images; None: that of the arrays. Larger arrays are
            for crops with more detail.
    """

    train_images: NDArray[np.uint8] | UnreadImages
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8] | UnreadImages
    test_labels: NDArray[np.int64]
    classes: tuple[str, ...]
    source: Mapping[str, Any]
    superclasses: Superclasses | None = None
    validation: int = 0
    side: int | None = None

    def labels_by_part(self) -> dict[str, NDArray[np.int64]]:
        """Labels of `train`, `validation` and `test`: the source's validation images count apart."""
        count = len(self.train_labels) - self.validation
        train, validation = self.train_labels[:count], self.train_labels[count:]
        return {"train": train, "validation": validation, "test": self.test_labels}

    def subset(self, *, train_size: int | None, test_size: int | None, seed: int) -> "LabelledImages":
        """Keep `train_size` and `test_size` images (None: all), drawn class by class from `seed`.

        The validation images of the source are all kept, and do not count. Raises `TriptychError` if there
        are fewer images than that.
        """
        result = self
        for part, size in (("train", train_size), ("test", test_size)):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if size is None:
                continue
            count = len(labels) - (self.validation if part == "train" else 0)
            if size > count:
                raise TriptychError(f"{part}_size is {size}, but there are {count} {part} images")
            kept = np.append(stratified_subset(labels[:count], size, seed), np.arange(count, len(labels)))
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

    train_images: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    name: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    digest: str

    @property
    def num_classes(self) -> int:
        """Number of classes, whether or not each has images."""
        return len(self.classes)

    @property
    def labelled(self) -> bool:
        """Whether the images have labels."""
        return bool(self.classes)

    def validation_split(self, held_out: int | Literal["auto"]) -> tuple[Indices, Indices]:
        """Indices of training images to train on and to validate on, the same for all recipes and seeds.

        The validation images of the source if it has some, else `held_out` images in the proportions of the
        classes; `auto`: a tenth, at least one of each class that has two. Raises `TriptychError` if none is
        left to train on.
        """
        count = len(self.train_labels)
        if self.validation:
            indices = np.arange(count)
            return indices[: -self.validation], indices[-self.validation :]
        if held_out == "auto":
            return stratified_split(self.train_labels, round(count / 10), seed=0, every_class=True)
        if held_out >= count:
            raise TriptychError(
                f"data set '{self.name}': validation is {held_out} of {count} training images; lower "
                "validation in the config, or set it to auto"
            )
        return stratified_split(self.train_labels, held_out, seed=0)

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width in pixels at which networks read the images."""
        height, width = (self.side, self.side) if self.side else self.train_images.shape[1:3]
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
    """Raise unless the arrays are as `LabelledImages` says, and no part is empty (without labels: `test`)."""
    for part in ("train", "test"):
        pixels, labels = getattr(images, f"{part}_images"), getattr(images, f"{part}_labels")
        kind = pixels.dtype if isinstance(pixels, np.ndarray) else np.dtype(np.uint8)
        if kind != np.uint8 or len(pixels.shape) != 4 or pixels.shape[3] != 3 or labels.dtype != np.int64:
            raise ValueError(f"{part}: expected (N, H, W, 3) uint8 and int64, got {pixels.shape} {kind}")
        if labels.shape != pixels.shape[:1] or pixels.shape[1:] != images.train_images.shape[1:]:
            raise ValueError(f"{part}: shapes {pixels.shape} and {labels.shape} do not belong together")
        if len(labels) == 0 and (part == "train" or images.classes):
            raise TriptychError(f"data set '{name}' has no {part} images; check its source in the config")
        lowest, highest = (0, len(images.classes) - 1) if images.classes else (-1, -1)
        if len(labels) and not lowest <= labels.min() <= labels.max() <= highest:
            raise ValueError(f"{part}: labels outside {lowest}..{highest}")
    groups = images.superclasses
    if groups is not None and len(groups.of_class) != len(images.classes):
        raise ValueError(f"{len(groups.of_class)} classes have a superclass, not {len(images.classes)}")


def identity(description: Mapping[str, Any]) -> str:
    """What `digest.txt` holds: a digest of the arrays and of all in `dataset.json` that decides a result."""
    decisive = ("digest", "classes", "superclasses", "superclass_of_class", "validation", "image_size")
    return digest_of_value({key: description[key] for key in decisive}) + "\n"


def save_packed(
    folder: str | Path, images: LabelledImages, *, name: str, provenance: Mapping[str, Any]
) -> dict[str, Any]:
    """Write a data set's arrays and `dataset.json`, which is returned, into `folder`, all of them or none.

    Raises:
        TriptychError: a part without images.
        ValueError: arrays that break the contract of `LabelledImages`.
        OSError: the disk is full; nothing is left behind.
    """
    _check(images, name)
    groups, folder = images.superclasses, Path(folder)
    with ExitStack() as renames:  # undone in reverse order: dataset.json appears last
        description_file = renames.enter_context(atomic_path(folder / "dataset.json"))
        digest_file = renames.enter_context(atomic_path(folder / "digest.txt"))
        arrays = {}
        for key in ARRAYS:
            file = renames.enter_context(atomic_path(folder / f"{key}.npy"))
            array = getattr(images, key)
            blocks = [array] if isinstance(array, np.ndarray) else array.blocks()
            write_blocks(file, blocks, array.shape)
            arrays[key] = np.load(file, mmap_mode="r")
        mean, std = channel_statistics(arrays["train_images"])
        description = {
            "name": name,
            "classes": list(images.classes),
            "superclasses": groups and list(groups.names),
            "superclass_of_class": groups and list(groups.of_class),
            "validation": images.validation,
            "counts": {"train": len(images.train_labels), "test": len(images.test_labels)},
            "class_counts": {
                part: np.bincount(labels, minlength=len(images.classes)).tolist()
                for part, labels in images.labels_by_part().items()
            }
            if images.classes
            else None,
            "image_size": [images.side] * 2 if images.side else list(images.train_images.shape[1:3]),
            "pack_size": list(images.train_images.shape[1:3]),
            "mean": mean,
            "std": std,
            "digest": arrays_digest(arrays),
            "source": dict(images.source),
            "provenance": dict(provenance),
        }
        digest_file.write_text(identity(description))
        write_json(description_file, description)
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
        if (folder / "digest.txt").read_text() != identity(description):
            raise ValueError("digest.txt does not belong to it")
        counts, groups = description["counts"], description.get("superclasses")
        packed = PackedDataset(
            **arrays,
            classes=tuple(description["classes"]),
            mean=tuple(description["mean"]),
            std=tuple(description["std"]),
            **{key: description[key] for key in ("name", "digest", "source", "validation")},
            side=None
            if description["image_size"] == description["pack_size"]
            else description["image_size"][0],
            superclasses=Superclasses(tuple(groups), tuple(description["superclass_of_class"]))
            if groups
            else None,
        )
    except (OSError, ValueError, EOFError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise TriptychError(f"packed data set {folder} cannot be read ({error}); {remedy}") from error
    for part in ("train", "test"):
        if not len(arrays[f"{part}_images"]) == len(arrays[f"{part}_labels"]) == counts[part]:
            raise TriptychError(f"packed data set {folder}: the {part} files do not fit together; {remedy}")
    return packed
