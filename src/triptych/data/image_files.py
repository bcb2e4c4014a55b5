"""Image files: which ones a folder has, and their pixels. The one place that opens them."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image, UnidentifiedImageError

from triptych.workflow.errors import TriptychError, one_line

pillow_heif.register_heif_opener()

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    *(".png", ".apng", ".webp", ".heic", ".heif", ".hif", ".avif", ".tif", ".tiff", ".bmp", ".dib", ".gif"),
    *(".jp2", ".j2k", ".j2c", ".jpx", ".jpf", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".pcx", ".sgi", ".qoi"),
)
# What a camera's sensor measured; it has no colours before a RAW converter develops it.
RAW_SUFFIXES = (
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".pef"),
    *(".srw", ".x3f", ".3fr", ".iiq", ".rwl", ".raw"),
)
# Pillow's names; JPEG includes MPO. Others are refused, whatever a file is called: PostScript would start an
# interpreter.
FORMATS = (
    *("JPEG", "PNG", "WEBP", "HEIF", "AVIF", "TIFF", "BMP", "DIB", "GIF", "JPEG2000", "PPM"),
    *("TGA", "PCX", "SGI", "QOI"),
)
NAMED = 100  # most files that a message names

MAX_PIXELS = 2**28  # above the 200 megapixels of phones, for which Pillow's own limit is too low
MAX_MEMORY = 2**30  # bytes of a decoder, beside the image
# Memory of the decoders in bytes per pixel, as measured; the other formats need next to none.
DECODERS = {"JPEG2000": 16, "WEBP": 13, "AVIF": 6, "HEIF": 5}
PROGRESSIVE = 7  # of a progressive JPEG
Image.MAX_IMAGE_PIXELS = MAX_PIXELS


class UnreadableImage(TriptychError):
    """A file that is no readable image; `reason` says in a few words what is wrong with it."""

    def __init__(self, path: Path, reason: str, remedy: str) -> None:
        super().__init__(one_line(f"{printable(path)}: cannot be read as an image ({reason}); {remedy}"))
        self.path, self.reason = path, reason


def unreadable_images(
    errors: Sequence[UnreadableImage], total: int, *, folder: Path, unit: str, remedy: str
) -> TriptychError:
    """One error that names all unreadable images of a folder: "3 of 40 photographs cannot be read: ...".

    `total` should have been read; `unit` is what the images are called, in the plural; `remedy` ends the
    message.
    """
    named = sorted((os.path.relpath(error.path, folder), error.reason) for error in errors)
    named.sort(key=lambda error: [natural_order(part) for part in Path(error[0]).parts])
    names: dict[str, list[str]] = defaultdict(list)
    for name, reason in named[:NAMED]:
        names[reason].append(printable(name))
    listed = ", ".join(f"{', '.join(files)} ({reason})" for reason, files in names.items())
    more = f" and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
    return TriptychError(
        one_line(
            f"{printable(folder)}: {len(errors)} of {total} {unit} cannot be read: {listed}{more}; {remedy}"
        )
    )


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A sorting key that compares the numbers in names by their values: im_2 comes before im_10."""
    # text and numbers alternate, so like is compared with like
    parts = re.split(r"(\d+)", name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def _is_file(path: Path) -> bool:
    """Whether it is a file, or a link to nothing, which is listed so that reading it fails."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def find_files(folder: Path) -> list[Path]:
    """All files in a folder and its sub-folders, in natural order; no hidden ones.

    Links to folders are followed, but no folder is entered twice.
    Raises `TriptychError` if a folder may not be listed.
    """

    def refuse(error: OSError) -> None:
        raise TriptychError(f"{printable(error.filename)}: cannot be listed ({error.strerror}); check it")

    found: list[Path] = []
    entered = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(here)
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural_order)
        paths = (Path(here, name) for name in names if not name.startswith("."))
        found += [path for path in paths if _is_file(path)]
    return sorted(found, key=lambda path: [natural_order(part) for part in path.relative_to(folder).parts])


def printable(path: str | Path) -> str:
    r"""A path as text that can be printed; its bytes that are no UTF-8 become `\x..`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def plain_name(name: str) -> str:
    """The name as UTF-8 without spaces and leading `#`: COLMAP's lists of images split and skip at those."""
    return re.sub(r"\s|^#|[\ud800-\udfff]", "_", name)


def _reason(error: Exception, path: Path) -> str:
    """Why an image cannot be read, in a few words."""
    if isinstance(error, UnidentifiedImageError):
        return "empty" if path.stat().st_size == 0 else "damaged or of an unknown type"
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        return f"a link to {printable(os.readlink(path))}, which does not exist"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return next(iter(str(error).splitlines()), type(error).__name__)


def _fewer_bits(image: Image.Image) -> Image.Image:
    """An image of 32-bit numbers as one of 8 or 16 bits; `ValueError` if nothing tells what is white.

    Floating-point numbers from 0 to 1 are scaled; integers are 16-bit numbers if the format has no others.
    """
    values = np.asarray(image)
    low, high = values.min(), values.max()
    if image.mode == "F" and low >= 0 and high <= 1:
        result = Image.fromarray((values * 255 + 0.5).astype(np.uint8))
    elif image.mode == "I" and image.format == "PPM":
        result = Image.fromarray(values.astype(np.uint16))
    else:
        raise ValueError(
            f"its values go from {low:g} to {high:g}, so white is unknown: save it with 8 or 16 bits"
        )
    result.format, result.info = image.format, image.info
    return result


def _check_size(image: Image.Image) -> None:
    """Raise `ValueError` if an image, by its header, takes too much memory to decode."""
    memory = PROGRESSIVE if image.info.get("progressive") else DECODERS.get(image.format or "", 1)
    if image.width * image.height > (most := min(MAX_PIXELS, MAX_MEMORY // memory)):
        size = f"{image.width} x {image.height} pixels"
        raise ValueError(f"{size}; at most {most // 10**6} megapixels of its type can be read")


def load_image(
    path: Path, *, remedy: str = "replace it", header_only: bool = False, min_side: int | None = None
) -> Image.Image:
    """Open and decode an image file, or read its header only; of several pictures in it, the first.

    A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, which takes a fraction of the time, if both sides
    keep `min_side` pixels. Raises `UnreadableImage`, whose message `remedy` ends.
    """
    try:
        with Image.open(path, formats=FORMATS) as image:
            _check_size(image)
            if header_only:
                return image
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            image.load()
            with suppress(SyntaxError):  # malformed EXIF data, which then count as none
                image.getexif().get_ifd(0x8769)  # of TIFF files only readable while the file is open
            return _fewer_bits(image) if image.mode in ("F", "I") else image
    except MemoryError:
        raise
    except Exception as error:  # damaged files make decoders raise almost anything
        raise UnreadableImage(path, _reason(error, path), remedy) from error


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image file, from its header. Raises as `load_image` does."""
    return load_image(path, header_only=True).size


def to_8_bits(image: Image.Image) -> Image.Image:
    """The image as RGB, or as RGBA if it has any transparency."""
    if image.mode.startswith("I;16"):  # convert() would clip 16 bits at 255
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def on_white(image: Image.Image) -> Image.Image:
    """An 8-bit image as RGB, in front of white where it is transparent."""
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def shrink(image: Image.Image, max_size: int | None) -> Image.Image:
    """The image with its longer side at most `max_size` pixels (None: unchanged)."""
    longer = max(image.size)
    if max_size is None or longer <= max_size:
        return image
    width, height = (max(1, round(side * max_size / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)
