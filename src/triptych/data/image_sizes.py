"""At which size the images of a folder are packed and read, if the config does not say."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from triptych.data.image_files import UnreadableImage, image_size

SIZES = (32, 48, 64, 96, 128, 160, 192, 224)  # pixels; each has a patch of the ViT
DETAILED = 64  # pixels; larger images are packed with some more, from which crops are resized
MEASURED = 500  # headers that are read to find out how large the images are


def median_side(paths: Sequence[Path]) -> int:
    """The median of the images' shorter sides, in pixels; of many images, of some."""
    shorter = []
    for path in paths[:: max(1, len(paths) // MEASURED)]:
        with suppress(UnreadableImage):  # named when it is packed
            shorter.append(min(image_size(path)))
    return int(np.median(shorter or [0]))


def fitting_size(median: int) -> int:
    """The largest of `SIZES` that half of the images have; the smallest, if they are smaller."""
    return max(size for size in SIZES if size <= max(median, SIZES[0]))


def pack_side(median: int, image_size: int, pack_size: int | None) -> int:
    """Side in pixels at which images are packed.

    Args:
        median: of the images' shorter sides.
        image_size: side at which networks read them.
        pack_size: side that the config gives. None: `image_size` up to 64 pixels; above, 8/7 of it as in the
            usual evaluation (256 for 224), unless half of the images are smaller.
    """
    if pack_size is not None or image_size <= DETAILED:
        return pack_size or image_size
    return max(image_size, min(round(image_size * 8 / 7), median))
