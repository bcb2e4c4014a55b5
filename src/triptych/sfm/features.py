"""SIFT features (Lowe 2004) of a folder of frames, in a new COLMAP database."""

import logging
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pycolmap
from PIL import Image

from triptych.data.image_files import load_image, natural_order
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

CAMERA_MODEL = "OPENCV"  # fx, fy, cx, cy, k1, k2, p1, p2: the lens of instant-ngp's format
PEAK_THRESHOLD = 0.02 / 3  # COLMAP's default; a lower one finds weaker features, too
BLOCK = 10  # images per call of COLMAP, between which progress is shown
# Images up to this longer side are doubled first: otherwise SIFT finds too few features in them, and four
# times as many pixels are still few.
SMALL = 640
MAKE, MODEL, EXIF, FOCAL_LENGTH, FOCAL_LENGTH_35MM = 0x010F, 0x0110, 0x8769, 0x920A, 0xA405  # EXIF tags


class Lens(NamedTuple):
    """What images of one camera have in common: their size in pixels, and the values of these EXIF tags.

    A zoom changes the focal length in millimetres, a crop or another lens of a phone its 35 mm equivalent.
    """

    size: tuple[int, int]
    make: str
    model: str
    focal_length: float
    focal_length_35mm: float


def _number(value: object) -> float:
    """An EXIF number, 0 if it is absent or malformed."""
    try:
        return round(float(value), 3)  # type: ignore[arg-type]
    except (TypeError, ValueError, ZeroDivisionError):
        return 0.0


def read_lens(path: Path) -> Lens:
    """The lens of a JPEG or PNG file, from its header. Raises as `load_image` does."""
    image, exif = load_image(path, header_only=True), Image.Exif()
    with suppress(SyntaxError):  # malformed
        exif.load(image.info.get("exif", b""))
    values = exif.get_ifd(EXIF)
    make, model = (str(exif.get(tag, "")).strip("\0 ") for tag in (MAKE, MODEL))
    focal, focal_35mm = (_number(values.get(tag)) for tag in (FOCAL_LENGTH, FOCAL_LENGTH_35MM))
    return Lens(image.size, make, model, focal, focal_35mm)


def images_by_lens(folder: str | Path) -> dict[Lens, list[str]]:
    """Names of the images in a folder, in natural order, by the lens that took them."""
    lenses: dict[Lens, list[str]] = defaultdict(list)
    # Snakemake keeps a hidden timestamp there
    for path in sorted(Path(folder).glob("[!.]*"), key=lambda path: natural_order(path.name)):
        lenses[read_lens(path)].append(path.name)
    return dict(lenses)


def extract_features(
    database: Path,
    images: str | Path,
    *,
    masks: str | Path | None,
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    peak_threshold: float,
    affine: bool,
    threads: int,
) -> None:
    """Fill a new COLMAP database with cameras and features; arguments as for `match_features`.

    Images of one lens share a camera. COLMAP's own single-camera mode silently leaves out
    images of another size, so each lens is imported separately.
    """
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.max_image_size = max_image_size
    extraction.num_threads = threads
    extraction.sift.max_num_features = max_features
    extraction.sift.peak_threshold = peak_threshold
    extraction.sift.estimate_affine_shape = extraction.sift.domain_size_pooling = affine
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = CAMERA_MODEL
    if masks is not None:
        reader.mask_path = masks
    lenses = images_by_lens(images)
    if first_octave is None:
        first_octave = -1 if max(max(lens.size) for lens in lenses) <= SMALL else 0
    extraction.sift.first_octave = first_octave
    if len(lenses) > 1:
        log.info("%s: %d lenses or image sizes, one camera for each", images, len(lenses))

    with pycolmap.Database.open(database):
        pass  # makes the tables
    # Images are registered first, one by one: threads would number them in the order in which they finish,
    # and all later results depend on that order.
    for names in lenses.values():
        pycolmap.import_images(
            database, images, camera_mode=pycolmap.CameraMode.SINGLE, image_names=names, options=reader
        )
    every = [name for names in lenses.values() for name in names]
    with Progress(len(every), "finding features", unit="image") as progress:
        for start in range(0, len(every), BLOCK):
            block = every[start : start + BLOCK]
            pycolmap.extract_features(
                database, images, image_names=block, reader_options=reader, extraction_options=extraction
            )
            progress.update(len(block))
