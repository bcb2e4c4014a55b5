"""SIFT features (Lowe 2004) of a folder of frames, in a new COLMAP database."""

import logging
from collections import defaultdict
from pathlib import Path

import pycolmap

from triptych.data.image_files import image_size
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

CAMERA_MODEL = "OPENCV"  # fx, fy, cx, cy, k1, k2, p1, p2: the lens of instant-ngp's format
BLOCK = 10  # images per call of COLMAP, between which progress is shown
# Images up to this longer side are doubled first: otherwise SIFT finds too few features in them, and four
# times as many pixels are still few.
SMALL = 640


def images_by_size(folder: str | Path) -> dict[tuple[int, int], list[str]]:
    """Sorted names of the images in a folder, by (width, height)."""
    sizes: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path in sorted(Path(folder).glob("[!.]*")):  # Snakemake keeps a hidden timestamp there
        sizes[image_size(path)].append(path.name)
    return dict(sizes)


def extract_features(
    database: Path,
    images: str | Path,
    *,
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    threads: int,
) -> None:
    """Fill a new COLMAP database with cameras and features; arguments as for `match_features`.

    Images of one size share a camera. COLMAP's own single-camera mode silently leaves out
    images of another size, so each size is imported separately.
    """
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size = max_image_size
    extraction.num_threads = threads
    extraction.sift.max_num_features = max_features
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = CAMERA_MODEL
    sizes = images_by_size(images)
    if first_octave is None:
        first_octave = -1 if max(max(size) for size in sizes) <= SMALL else 0
    extraction.sift.first_octave = first_octave
    if len(sizes) > 1:
        log.info("%s: %d image sizes, one camera for each", images, len(sizes))

    with pycolmap.Database.open(database):
        pass  # makes the tables
    # Images are registered first, one by one: threads would number them in the order in which they finish,
    # and all later results depend on that order.
    for names in sizes.values():
        pycolmap.import_images(
            database, images, camera_mode=pycolmap.CameraMode.SINGLE, image_names=names, options=reader
        )
    every = [name for names in sizes.values() for name in names]
    with Progress(len(every), "finding features", unit="image") as progress:
        for start in range(0, len(every), BLOCK):
            block = every[start : start + BLOCK]
            pycolmap.extract_features(
                database, images, image_names=block, reader_options=reader, extraction_options=extraction
            )
            progress.update(len(block))
