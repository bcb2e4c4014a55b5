"""A folder of photographs as frames: upright, in 8-bit RGB, each with a name of its own.

Photographs that need no change are copied unchanged. All keep the EXIF data from which COLMAP reads the focal
length.
"""

import logging
import shutil
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import IFD, Base

from triptych.data.image_files import (
    RAW_SUFFIXES,
    SUFFIXES,
    UnreadableImage,
    find_files,
    load_image,
    on_white,
    plain_name,
    printable,
    shrink,
    to_8_bits,
    unreadable_images,
)
from triptych.scenes.manifest import KEPT, ManifestRow
from triptych.sfm.sharpness import sharpness
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import files_fingerprint, is_hidden

log = logging.getLogger("triptych")

UNIT = "photographs"
REMEDY = "replace them, or take them out of the folder"
RAW = "camera RAW"
LOSSY = ("JPEG", "MPO", "HEIF", "AVIF")  # Pillow's names; these are written as JPEG, others as PNG
NAMED = 5  # file types that a warning names
# COLMAP crashes if the shorter side becomes no pixel where it makes images smaller.
LEAST_SIDE, MOST_RATIO = 16, 64
# Later steps append up to 20 characters; file systems allow 255 bytes.
LONGEST_STEM = 200  # bytes

# EXIF tags of the lens and of what gives the sensor's size
LENS = (
    *(Base.FocalLength, Base.FocalLengthIn35mmFilm, Base.ExifImageWidth, Base.ExifImageHeight),
    *(Base.FocalPlaneXResolution, Base.FocalPlaneYResolution, Base.FocalPlaneResolutionUnit),
)

Save = Callable[[Path], object]  # writes a frame to a file


def _files(folder: Path, leave_out: str | None) -> list[Path]:
    """All files in a folder without those in hidden sub-folders and in the sub-folder `leave_out`."""
    files = [path for path in find_files(folder) if not any(map(is_hidden, path.relative_to(folder).parts))]
    return files if leave_out is None else [path for path in files if folder / leave_out not in path.parents]


def find_photographs(folder: Path, *, leave_out: str | None = None) -> tuple[list[Path], list[ManifestRow]]:
    """The photographs in a folder, but not in its part `leave_out`, in natural order, and a row for each RAW
    file.

    RAW files beside an image of the same name are left out with the other types. Raises `TriptychError` if
    there is no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise TriptychError(f"{folder}: there is no such folder; correct the scene's path in the config")
    files = _files(folder, leave_out)
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    developed = {path.with_suffix("") for path in images}
    raw = [
        path
        for path in files
        if path.suffix.lower() in RAW_SUFFIXES and path.with_suffix("") not in developed
    ]
    others = sorted(set(files) - {*images, *raw})
    types = ", ".join(sorted({printable(path.suffix.lower() or path.name) for path in others})[:NAMED])
    total = len(images) + len(raw)
    if not total:
        found = f"found only {types}" if others else "it is empty"
        raise TriptychError(
            f"{folder}: no images in this folder ({found}); give files of type {', '.join(SUFFIXES)}"
        )
    if raw:
        remedy = "they are left out; to use them, develop them to JPEG"
        errors = [UnreadableImage(path, RAW, "") for path in raw]
        unreadable = unreadable_images(errors, total, folder=folder, unit=UNIT, remedy=remedy)
        if not images:
            raise unreadable
        log.warning("%s", unreadable)
    if others:
        log.warning("%s: %d other files left out (%s)", printable(folder), len(others), types)
    folders = {path.parent for path in images}
    if len(folders) > 1:
        log.info("%s: %d photographs in %d folders", printable(folder), len(images), len(folders))
    left_out = [
        ManifestRow(len(images) + number, "", status=RAW, source=printable(path.relative_to(folder)))
        for number, path in enumerate(raw)
    ]
    return images, left_out


def photographs_fingerprint(folder: str | Path, *, leave_out: str | None = None) -> str:
    """Digest of the names and contents of a folder's images; a `TriptychError` if it may not be listed."""
    root = Path(folder)
    files = {
        path.relative_to(root).as_posix(): path
        for path in _files(root, leave_out)
        if path.suffix.lower() in (*SUFFIXES, *RAW_SUFFIXES)
    }
    return files_fingerprint(files)


def frame_name(path: Path, taken: set[str]) -> str:
    """A file name for a photograph, whose stem differs from those in `taken`; it is added there.

    Folders, relative to the scene's, become parts of the name, which is never too long. Names differ also
    where case does not count and in one Unicode form.
    """
    stem = plain_name("_".join(path.with_suffix("").parts))
    stem = stem.encode()[:LONGEST_STEM].decode(errors="ignore")

    def key(name: str) -> str:
        return unicodedata.normalize("NFC", name).casefold()

    unique, number = stem, 2
    while key(unique) in taken:
        unique, number = f"{stem}-{number}", number + 1
    taken.add(key(unique))
    return unique + plain_name(path.suffix)


def _lens_exif(image: Image.Image) -> Image.Exif:
    """The EXIF data that describe camera and lens."""
    exif, old = Image.Exif(), image.getexif()
    exif.update({tag: old[tag] for tag in (Base.Make, Base.Model) if tag in old})
    lens = old.get_ifd(IFD.Exif)
    exif.get_ifd(IFD.Exif).update({tag: lens[tag] for tag in LENS if tag in lens})
    return exif


def prepare(path: Path, image: Image.Image, max_size: int | None) -> tuple[Image.Image, str, Save]:
    """A photograph as an upright frame, with its longer side at most `max_size`, its suffix, and what writes
    it.
    """
    jpeg, suffix = image.format in LOSSY, path.suffix
    if suffix.lower() not in ((".jpg", ".jpeg") if jpeg else (".png",)):
        suffix = ".jpg" if jpeg else ".png"
    small = max_size is None or max(image.size) <= max_size
    upright = image.getexif().get(Base.Orientation, 1) == 1
    if image.format in ("JPEG", "MPO", "PNG") and upright and small and image.mode == "RGB":
        return image, suffix, partial(shutil.copyfile, path)
    picture = shrink(on_white(to_8_bits(ImageOps.exif_transpose(image))), max_size)
    options: dict[str, Any] = {"quality": 97, "subsampling": 0} if jpeg else {"compress_level": 3}
    profile = image.info.get("icc_profile") if image.mode in ("RGB", "RGBA") else None
    save = partial(picture.save, exif=_lens_exif(image), icc_profile=profile, **options)
    return picture, suffix, save


def photographs(
    folder: Path, images: Sequence[Path], *, max_size: int | None
) -> Iterator[tuple[ManifestRow, Save]]:
    """The images of a folder as frames: turned upright by their EXIF orientation, in 8-bit RGB on white.
    Raises `TriptychError` if an image cannot be read; once all others were read, so that the message names
    each.
    """
    taken: set[str] = set()
    errors = []
    for number, path in enumerate(images):
        try:
            image = load_image(path)
        except UnreadableImage as error:
            errors.append(error)
            continue
        relative = path.relative_to(folder)
        picture, suffix, save = prepare(path, image, max_size)
        name = frame_name(relative.with_suffix(suffix), taken)
        value = sharpness(np.asarray(picture.convert("L")))
        low, high = sorted(picture.size)
        useful = low >= LEAST_SIDE and high <= MOST_RATIO * low
        status = KEPT if useful else f"too small or narrow: {picture.width} x {picture.height} pixels"
        yield ManifestRow(number, name, None, value, status=status, source=printable(relative)), save
    if errors:
        raise unreadable_images(errors, len(images), folder=folder, unit=UNIT, remedy=REMEDY)
