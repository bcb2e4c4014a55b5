"""Any folder of images, as `folder_listing` finds them, read while they are packed."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from triptych.data.folder_listing import FolderListing, counted, list_folder, some
from triptych.data.image_files import UnreadableImage, load_image, printable, to_8_bits, unreadable_images
from triptych.data.image_sizes import median_side, pack_side
from triptych.data.packed import LabelledImages
from triptych.data.splits import Indices, stratified_split
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path
from triptych.workflow.folder_fingerprint import file_digests
from triptych.workflow.progress import Progress

REMEDY = "replace or remove them"
BLOCK = 256  # images in memory at a time
OVERSAMPLED = 2  # at least so many pixels a side are decoded for each that is kept
WORDS = {"train": "training", "validation": "validation", "test": "test"}


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """One image as (side, side, 3): turned upright, cut to the central square, resized by Lanczos.

    An image of that size already keeps its exact pixels; transparency is dropped.

    Raises:
        UnreadableImage: the file is not a readable image.
    """
    upright = ImageOps.exif_transpose(load_image(path, remedy=REMEDY, min_side=OVERSAMPLED * side))
    image = to_8_bits(upright).convert("RGB")
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), method=Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8)


@dataclass(frozen=True)
class ImageFiles:
    """Images of a folder, read when `blocks` is called.

    Attributes:
        root: the folder.
        names: N names relative to it.
        side: they are brought to this size in pixels (see `read_image`).
        workers: number of decoding threads.
        part: what they are called in messages.
        others: names that are tried, too, before an error is raised, so that it names all unreadable files.
    """

    root: Path
    names: Sequence[str]
    side: int
    workers: int
    part: str
    others: Sequence[str] = ()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, side, side, 3)."""
        return len(self.names), self.side, self.side, 3

    def __getitem__(self, indices: Indices) -> "ImageFiles":
        """The images at these indices."""
        return replace(self, names=[self.names[index] for index in indices.tolist()])

    def blocks(self) -> Iterator[NDArray[np.uint8]]:
        """The images in order, (n, side, side, 3) uint8 at a time.

        Raises:
            TriptychError: after the last one, if any cannot be read; it names all of these.
        """
        if not self.names:
            yield np.empty(self.shape, np.uint8)
        problems: list[UnreadableImage] = []
        with (
            ThreadPoolExecutor(self.workers) as pool,
            Progress(len(self.names), f"{self.part} images", unit="image") as progress,
        ):
            for start in range(0, len(self.names), BLOCK):
                names = self.names[start : start + BLOCK]
                block = np.zeros((len(names), *self.shape[1:]), np.uint8)
                for index, read in enumerate(pool.map(self._read, names)):
                    progress.update()
                    if isinstance(read, UnreadableImage):
                        problems.append(read)
                    else:
                        block[index] = read
                yield block
            if problems:
                tried = pool.map(self._read, self.others)
                problems += [read for read in tried if isinstance(read, UnreadableImage)]
        if problems:
            total = len(self.names) + len(self.others)
            raise unreadable_images(problems, total, folder=self.root, unit="images", remedy=REMEDY)

    def _read(self, name: str) -> NDArray[np.uint8] | UnreadableImage:
        try:
            return read_image(self.root / name, self.side)
        except UnreadableImage as error:
            return error


def read_folder(
    path: str | Path,
    *,
    image_size: int,
    pack_size: int | None = None,
    test_fraction: float,
    seed: int,
    train_size: int | None = None,
    test_size: int | None = None,
    labels: str = "auto",
    workers: int = 1,
) -> LabelledImages:
    """The images of a folder (see `list_folder`), to be read when they are packed.

    Args:
        path: the folder.
        image_size: side in pixels at which networks read the images.
        pack_size: side in pixels to which all images are brought (see `read_image`, `pack_side`).
        test_fraction: if there is no `test/`, this fraction of every class is held out for it, and at least
            one image of each. Without labels no images are.
        seed: seed of that split, and of the choice of kept images.
        train_size, test_size: numbers of images to keep, class by class; None: all.
        labels: where they come from.
        workers: number of decoding threads.

    Raises:
        TriptychError: see `list_folder`; a class with a single image and no `test/`; fewer images than are
            to be kept.
    """
    listing = list_folder(path, labels)
    train, test = listing.parts["train"], listing.parts.get("test", [])
    validation = listing.parts.get("validation", [])
    if not test and listing.classes:
        counts = Counter(image.label for image in train)
        single = [name for index, name in enumerate(listing.classes) if counts[index] == 1]
        if single:
            raise TriptychError(
                f"{listing.root}: too few images of {some(single)} for both parts (none left to train or to "
                "test); add images, or make a test/ folder"
            )
        of_train = np.array([image.label for image in train])
        kept, held_out = stratified_split(of_train, round(test_fraction * len(train)), seed, every_class=True)
        train, test = [train[index] for index in kept], [train[index] for index in held_out]
    names = {"train": [image.name for image in [*train, *validation]], "test": [image.name for image in test]}
    median = median_side([listing.root / name for name in names["train"]])
    side = pack_side(median, image_size, pack_size)
    files = {
        part: ImageFiles(listing.root, names[part], side, workers, part, names[other])
        for part, other in (("train", "test"), ("test", "train"))
    }
    found = LabelledImages(
        train_images=files["train"],
        train_labels=np.array([image.label for image in [*train, *validation]], dtype=np.int64),
        test_images=files["test"],
        test_labels=np.array([image.label for image in test], dtype=np.int64),
        classes=listing.classes,
        source={
            "kind": "folder",
            "path": str(path),
            "image_size": image_size,
            "skipped": dict(listing.skipped),
            **(
                {}
                if "test" in listing.parts or not listing.classes
                else {"test_fraction": test_fraction, "seed": seed}
            ),
        },
        validation=len(validation),
        side=None if side == image_size else image_size,
    )
    images = found.subset(train_size=train_size, test_size=test_size, seed=seed)
    return replace(images, source={**found.source, "summary": _summary(listing, found, images, median)})


def _summary(listing: FolderListing, found: LabelledImages, kept: LabelledImages, median: int) -> str:
    """One line: `3 classes, 144 training, 36 test images (Cats 60, Dogs 84), 2 skipped: ...`."""
    parts, every = kept.labels_by_part(), found.labels_by_part()
    held = {name: len(labels) for name, labels in parts.items() if len(labels)}
    counts = ", ".join(f"{count:,} {WORDS[name]}" for name, count in held.items())
    images = f"{counts} {'image' if list(held.values())[-1] == 1 else 'images'}"
    if kept.classes:
        per_class = np.bincount(parts["train"], minlength=len(kept.classes))
        named = some(f"{name} {count:,}" for name, count in zip(kept.classes, per_class, strict=True))
        line = f"{len(kept.classes):,} classes, {images} ({named})"
        for name, labels in parts.items():
            lost = [label for index, label in enumerate(kept.classes) if index not in labels]
            if len(labels) and lost:
                line += f", no {WORDS[name]} images of {some(lost)}"
    else:
        line = f"{images} without labels" + (f" ({listing.note})" if listing.note else "")
    line += f", {_resized(median, found.source['image_size'])}"
    for name in ("train", "test"):
        if more := len(every[name]) - len(parts[name]):
            line += f", {name}_size leaves out {counted(more, f'{WORDS[name]} image')}"
    equal = _equal_images(listing.root, kept)
    if equal:
        are = "is a training image" if len(equal) == 1 else "are training images"
        line += f", {counted(len(equal), 'test image')} {are}, too ({some(equal)})"
    return ", ".join(filter(None, [line, listing.skipped_line()]))


def _resized(median: int, image_size: int) -> str:
    if median == image_size:
        return f"{image_size} pixels"
    change = "reduced" if median > image_size else "enlarged"
    return f"{change} from {median} to {image_size} pixels (image_size)"


def _equal_images(root: Path, images: LabelledImages) -> list[str]:
    """Names of test images whose files are copies of training images."""
    train, test = (_names(files) for files in (images.train_images, images.test_images))
    digests = file_digests({name: f"{root}/{name}" for name in [*train, *test]})
    known = {tuple(digests[name]) for name in train}
    return [name for name in test if tuple(digests[name]) in known]


def _names(images: object) -> Sequence[str]:
    return images.names if isinstance(images, ImageFiles) else []


def write_file_list(images: LabelledImages, target: str | Path) -> None:
    """Write which file each packed image is: `file,split,label`, training images first.

    Undecodable bytes of a name are written as escapes.
    """
    rows = []
    for part, files in (("train", images.train_images), ("test", images.test_images)):
        labels = images.train_labels if part == "train" else images.test_labels
        splits = [part] * (len(labels) - (images.validation if part == "train" else 0))
        splits += ["validation"] * (len(labels) - len(splits))
        for name, split, label in zip(_names(files), splits, labels.tolist(), strict=True):
            rows.append([printable(name), split, images.classes[label] if images.classes else ""])
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["file", "split", "label"])
        writer.writerows(rows)
