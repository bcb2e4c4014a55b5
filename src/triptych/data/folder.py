"""Any folder of images: train/<class>/<image> and, if there is one, test/<class>/<image>."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from triptych.data.packed import LabelledImages
from triptych.data.splits import stratified_split
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]


def list_images(root: Path) -> dict[str, list[Path]]:
    """The images of each class folder in `root`, both in the order of their names, hidden ones left out."""
    return {
        folder.name: sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
        )
        for folder in sorted(root.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
    }


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """One image as (side, side, 3): turned upright, cut to the central square, resized by Lanczos.

    An image of that size already keeps its exact pixels; transparency is dropped.
    """
    with Image.open(path) as opened:
        image: Image.Image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I;16"):  # convert() would clip 16 bits at 255
            image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
        image = image.convert("RGB")
        if image.size != (side, side):
            image = ImageOps.fit(image, (side, side), method=Image.Resampling.LANCZOS)
        return np.asarray(image, dtype=np.uint8)


def _read_part(files: dict[str, list[Path]], classes: list[str], side: int, workers: int, label: str) -> Part:
    paths = [path for name in classes for path in files.get(name, [])]
    labels = [index for index, name in enumerate(classes) for _ in files.get(name, [])]
    images = np.empty((len(paths), side, side, 3), dtype=np.uint8)

    def read(index: int) -> str | None:
        try:
            images[index] = read_image(paths[index], side)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            return str(error).splitlines()[0]
        return None

    unreadable = []
    with ThreadPoolExecutor(workers) as pool, Progress(len(paths), label, unit="image") as progress:
        for path, problem in zip(paths, pool.map(read, range(len(paths))), strict=True):
            progress.update()
            if problem is not None:
                unreadable.append(f"{path} ({problem})")
    if unreadable:
        raise TriptychError(
            f"{len(unreadable)} of {len(paths)} images cannot be read, first {unreadable[0]}; "
            "replace or remove them"
        )
    return images, np.array(labels, dtype=np.int64)


def _check(root: Path, files: dict[str, list[Path]]) -> None:
    empty = [name for name, paths in files.items() if not paths]
    kinds = ", ".join(sorted(SUFFIXES))
    if not any(files.values()):
        raise TriptychError(f"{root} has no images; it must hold <class>/<image>, of the kinds {kinds}")
    if empty:
        raise TriptychError(f"{root / empty[0]} has no images ({kinds}); remove the folder or fill it")


def read_folder(
    path: str | Path, *, image_size: int, test_fraction: float, seed: int, workers: int = 1
) -> LabelledImages:
    """Read an image folder; the class folders' names, sorted, are the classes.

    Args:
        path: has `train/<class>/...` and maybe `test/<class>/...`.
        image_size: side in pixels to which all images are brought (see `read_image`).
        test_fraction: without `test/`, this share of every class is held out for it.
        seed: of that split.
        workers: threads that decode.

    Raises:
        TriptychError: no images, one class only, an empty class, unreadable files, or a class of
            `test/` that `train/` lacks.
    """
    path = Path(path).expanduser()
    if not (path / "train").is_dir():
        raise TriptychError(f"{path} has no folder train/; it must hold train/<class>/<images>")
    files = list_images(path / "train")
    _check(path / "train", files)
    classes = sorted(files)
    if len(classes) == 1:
        raise TriptychError(
            f"{path / 'train'} has one class only ('{classes[0]}'); there must be two or more"
        )
    source = {"kind": "folder", "path": str(path), "image_size": image_size}

    if (path / "test").is_dir():
        test_files = list_images(path / "test")
        _check(path / "test", test_files)
        unknown = sorted(set(test_files) - set(classes))
        if unknown:
            raise TriptychError(
                f"{path / 'test' / unknown[0]} is a class that {path / 'train'} lacks; add it there"
            )
        train = _read_part(files, classes, image_size, workers, "train images")
        test = _read_part(test_files, classes, image_size, workers, "test images")
    else:
        images, labels = _read_part(files, classes, image_size, workers, "images")
        kept, held_out = stratified_split(labels, round(test_fraction * len(labels)), seed)
        for part, indices in (("train", kept), ("test", held_out)):
            lost = sorted(set(range(len(classes))) - set(labels[indices].tolist()))
            if lost:
                raise TriptychError(
                    f"{path / 'train' / classes[lost[0]]} has too few images for both parts at test_fraction "
                    f"{test_fraction:g} (none left to {part}); add images, or make a test/ folder"
                )
        train, test = (images[kept], labels[kept]), (images[held_out], labels[held_out])
        source |= {"test_fraction": test_fraction, "seed": seed}
    return LabelledImages(*train, *test, classes=tuple(classes), source=source)
