"""Image files: which ones a folder has, and their pixels. The one place that opens them."""

import re
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.workflow.errors import TriptychError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")


def list_images(folder: Path) -> tuple[list[Path], list[str]]:
    """The images directly in a folder, sorted by name, and the types of its other files; no hidden ones."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    return images, sorted({path.suffix.lower() or path.name for path in files} - set(SUFFIXES))


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A sorting key that compares the numbers in names by their values: im_2 comes before im_10."""
    # text and numbers alternate, so like is compared with like
    parts = re.split(r"(\d+)", name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def plain_name(name: str) -> str:
    """The name without spaces and leading `#`: COLMAP's lists of images split and skip at those."""
    return re.sub(r"\s|^#", "_", name)


def load_image(path: Path, *, remedy: str = "replace it", header_only: bool = False) -> Image.Image:
    """Open and decode an image file.

    Args:
        path: the file.
        remedy: the end of the error message.
        header_only: read size and mode, but no pixels.

    Raises:
        TriptychError: the file is not a readable image.
    """
    try:
        with Image.open(path) as image:
            if not header_only:
                image.load()
                image.getexif()  # of TIFF files it can only be read while the file is open
            return image
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TriptychError(f"{path}: cannot be read as an image ({reason}); {remedy}") from error


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
