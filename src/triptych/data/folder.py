"""Any folder of images: train/<class>/<image> and, if there is one, test/<class>/<image>."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from triptych.data.image_files import SUFFIXES, list_images, load_image, to_8_bits
from triptych.data.packed import LabelledImages
from triptych.data.splits import stratified_split
from triptych.workflow.errors import TriptychError
from triptych.workflow.progress import Progress


def read_image(path: Path, side: int) -> NDArray[np.uint8]:
    """One image as (side, side, 3): turned upright, cut to the central square, resized by Lanczos.

    An image of that size already keeps its exact pixels; transparency is dropped.

    Raises:
        TriptychError: the file is not a readable image.
    """
    upright = ImageOps.exif_transpose(load_image(path, remedy="replace or remove such files"))
    image = to_8_bits(upright).convert("RGB")
    if image.size != (side, side):
        image = ImageOps.fit(image, (side, side), method=Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8)


def _read_part(
    files: dict[str, list[Path]], classes: list[str], side: int, workers: int, label: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, side, side, 3) and labels (N,) of one part, class by class."""
    labelled = [(path, index) for index, name in enumerate(classes) for path in files.get(name, [])]
    images = np.empty((len(labelled), side, side, 3), dtype=np.uint8)

    def read(index: int) -> str | None:
        try:
            images[index] = read_image(labelled[index][0], side)
        except TriptychError as error:
            return str(error)
        return None

    with ThreadPoolExecutor(workers) as pool, Progress(len(images), label, unit="image") as progress:
        problems = []
        for problem in pool.map(read, range(len(images))):
            progress.update()
            if problem is not None:
                problems.append(problem)
    if problems:
        raise TriptychError(f"{len(problems)} of {len(images)} images cannot be read, first {problems[0]}")
    return images, np.array([index for _, index in labelled], dtype=np.int64)


def _list_classes(root: Path) -> dict[str, list[Path]]:
    """The images of each class folder in `root`, both in the order of their names; every class has some."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    files = {folder.name: list_images(folder)[0] for folder in folders}
    types = ", ".join(SUFFIXES)
    if not any(files.values()):
        raise TriptychError(f"{root} has no images; it must hold <class>/<image>, of type {types}")
    for name, images in files.items():
        if not images:
            raise TriptychError(f"{root / name} has no images ({types}); remove the folder or fill it")
    return files


def read_folder(
    path: str | Path, *, image_size: int, test_fraction: float, seed: int, workers: int = 1
) -> LabelledImages:
    """Read an image folder; the class folders' names, sorted, are the classes.

    Args:
        path: has `train/<class>/...` and maybe `test/<class>/...`.
        image_size: side in pixels to which all images are brought (see `read_image`).
        test_fraction: if there is no `test/`, this fraction of every class is held out for it.
        seed: seed of that split.
        workers: number of decoding threads.

    Raises:
        TriptychError: no images, one class only, an empty class, unreadable files, or a class of
            `test/` that `train/` lacks.
    """
    path = Path(path)
    train_folder, test_folder = path / "train", path / "test"
    if not train_folder.is_dir():
        raise TriptychError(f"{path} has no folder train/; it must hold train/<class>/<images>")
    files = _list_classes(train_folder)
    classes = sorted(files)
    if len(classes) == 1:
        raise TriptychError(f"{train_folder} has one class only ('{classes[0]}'); there must be two or more")
    source = {"kind": "folder", "path": str(path), "image_size": image_size}

    if test_folder.is_dir():
        test_files = _list_classes(test_folder)
        unknown = sorted(set(test_files) - set(classes))
        if unknown:
            raise TriptychError(
                f"{test_folder / unknown[0]} is a class that {train_folder} lacks; add it there"
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
                    f"{train_folder / classes[lost[0]]} has too few images for both parts at test_fraction "
                    f"{test_fraction:g} (none left to {part}); add images, or make a test/ folder"
                )
        train, test = (images[kept], labels[kept]), (images[held_out], labels[held_out])
        source |= {"test_fraction": test_fraction, "seed": seed}
    return LabelledImages(*train, *test, classes=tuple(classes), source=source)
