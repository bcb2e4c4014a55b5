"""A folder of masks, one for each frame, in the form in which COLMAP and the training read them.

Black is ignored, as COLMAP and nerfstudio have it. Masks that other programs made differ in their type, size
and shade of white: they become PNGs of the frames' size, with nothing but black and white.
"""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from triptych.data.image_files import (
    SUFFIXES,
    UnreadableImage,
    find_files,
    image_size,
    load_image,
    printable,
    to_8_bits,
    unreadable_images,
)
from triptych.scenes.manifest import sources_of_files
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

NAMED = 5  # files that a message names
SAME_SHAPE = 0.02  # largest relative difference of two ratios of width and height
OPAQUE, LARGEST_CLASS = 255, 63
REMEDY = "give each the shape of its image as it is shown, or remove it"


def _first(names: Sequence[str]) -> str:
    """The first few names."""
    return ", ".join(names[:NAMED]) + (", ..." if len(names) > NAMED else "")


def mask_file(frame: str) -> str:
    """Name of the mask of a frame: the one that COLMAP expects."""
    return f"{frame}.png"


def _find_masks(folder: Path, sources: Mapping[str, str]) -> dict[str, Path]:
    """The mask of each frame that has one; what fits nothing is named in a warning.

    `sources` has by frame the path of its photograph, or "" for a frame of a film.
    """
    masks = [path for path in find_files(folder) if path.suffix.lower() in SUFFIXES]
    by_name: dict[str, Path] = {}
    for path in masks:
        by_name.setdefault(printable(path.relative_to(folder).with_suffix("")), path)
    found: dict[str, Path] = {}
    for frame, photograph in sources.items():
        # a/b.jpg.png, as COLMAP has it, or a/b.png
        names = [name for file in (photograph, frame) for name in (file, os.path.splitext(file)[0])]
        if name := next((name for name in names if name in by_name), None):
            found[frame] = by_name[name]
    missing = [photograph or frame for frame, photograph in sources.items() if frame not in found]
    if not found:
        there = f"{len(masks)} images with names such as {min(by_name)}" if by_name else "no images"
        raise TriptychError(
            f"{folder}: no mask has the name of an image (it has {there}); name each mask as its image, "
            f"such as {os.path.splitext(missing[0])[0]}.png"
        )
    if missing:
        log.warning(
            "%s: %d of %d images have no mask and are used whole (%s)",
            *(folder, len(missing), len(sources), _first(missing)),
        )
    used = set(found.values())
    if unused := [printable(path.relative_to(folder)) for path in masks if path not in used]:
        log.warning("%s: %d masks fit no image that is used (%s)", folder, len(unused), _first(unused))
    return found


def normalise_mask(image: Image.Image) -> Image.Image:
    """A mask of any kind as 0 and 255, mode `L`.

    Of an image with transparency, the opacity is the mask, since many programs save what they cut out. In
    images with a palette or with low values, each value but 0 is that of a class. In others, what is brighter
    than half of the brightest pixel is white: edges are soft, and JPEG turns black into dark grey.
    """
    channels = np.asarray(to_8_bits(image))
    if channels.shape[2] == 4 and channels[..., 3].min() < OPAQUE:
        values = channels[..., 3]
    else:
        values = channels[..., :3].max(axis=2)
    brightest = int(values.max(initial=0))
    limit = 0 if image.mode == "P" or brightest <= LARGEST_CLASS else brightest / 2
    return Image.fromarray(np.where(values > limit, 255, 0).astype(np.uint8))


def _read_mask(path: Path, size: tuple[int, int]) -> Image.Image:
    """A user's mask at the size of its frame; raises `UnreadableImage` also if it has another shape."""
    mask = normalise_mask(ImageOps.exif_transpose(load_image(path)))
    if abs(mask.width * size[1] / (mask.height * size[0]) - 1) > SAME_SHAPE:
        shapes = f"it is {mask.width}x{mask.height}, its image {size[0]}x{size[1]}"
        raise UnreadableImage(path, shapes, REMEDY)
    return mask if mask.size == size else mask.resize(size, Image.Resampling.NEAREST)


def prepare_masks(source: str | Path, frames: str | Path, manifest: str | Path, target: str | Path) -> None:
    """Write the masks of a scene's frames as PNG.

    Args:
        source: the user's folder of masks. Each has the name of its photograph, in the same sub-folder, with
            any suffix, also after the photograph's own: `a/b.png` or `a/b.jpg.png` for `a/b.jpg`. Names of
            frames are also accepted.
        target: the folder to write, with a file `mask_file` for each frame; all white if it has no mask.

    Raises:
        TriptychError: no mask fits a frame, or some cannot be read or have another shape than their frame.
    """
    source, frames = Path(source), Path(frames)
    errors: list[UnreadableImage] = []
    empty: list[str] = []
    sources = sources_of_files(manifest)
    found = _find_masks(source, sources)
    with atomic_folder(target) as temporary, Progress(len(sources), "masks", unit="mask") as progress:
        for frame in sources:
            size = image_size(frames / frame)
            try:
                # COLMAP leaves out images without a mask
                mask = _read_mask(found[frame], size) if frame in found else Image.new("L", size, 255)
            except UnreadableImage as error:
                errors.append(error)
            else:
                mask.save(temporary / mask_file(frame))
                if mask.getbbox() is None:
                    empty.append(printable(found[frame].relative_to(source)))
            progress.update()
        if errors:
            raise unreadable_images(errors, len(found), folder=source, unit="masks", remedy=REMEDY)
    if empty:
        log.warning("%s: %d masks hide their whole image (%s)", source, len(empty), _first(empty))
