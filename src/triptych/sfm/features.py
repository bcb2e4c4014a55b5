"""SIFT features (Lowe 2004) of a folder of frames, in a new COLMAP database."""

import logging
from collections import defaultdict
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pycolmap
from PIL import Image
from PIL.ExifTags import IFD, Base

from triptych.data.image_files import load_image, natural_order
from triptych.sfm.database import count_matches
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

CAMERA_MODEL = "OPENCV"  # fx, fy, cx, cy, k1, k2, p1, p2: the lens of instant-ngp's format
PEAK_THRESHOLD = 0.02 / 3  # COLMAP's default; a lower one finds weaker features, too
BLOCK = 10  # images per call of COLMAP, between which progress is shown
# Images up to this longer side are doubled first: otherwise SIFT finds too few features in them, and four
# times as many pixels are still few. So are images in which it finds fewer features than this, on average.
SMALL, FEW = 640, 800


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
    values = exif.get_ifd(IFD.Exif)
    make, model = (str(exif.get(tag, "")).strip("\0 ") for tag in (Base.Make, Base.Model))
    focal, focal_35mm = (_number(values.get(tag)) for tag in (Base.FocalLength, Base.FocalLengthIn35mmFilm))
    return Lens(image.size, make, model, focal, focal_35mm)


def images_by_lens(folder: str | Path) -> dict[Lens, list[str]]:
    """Names of the images in a folder, in natural order, by the lens that took them."""
    lenses: dict[Lens, list[str]] = defaultdict(list)
    # Snakemake keeps a hidden timestamp there
    for path in sorted(Path(folder).glob("[!.]*"), key=lambda path: natural_order(path.name)):
        lenses[read_lens(path)].append(path.name)
    return dict(lenses)


def _extract(
    database: Path,
    images: str | Path,
    lenses: dict[Lens, list[str]],
    options: pycolmap.FeatureExtractionOptions,
    masks: str | Path | None,
) -> None:
    """Make a database of cameras and features.

    COLMAP's own single-camera mode silently leaves out images of another size, so each lens is imported
    separately.
    """
    reader = pycolmap.ImageReaderOptions()
    reader.camera_model = CAMERA_MODEL
    if masks is not None:
        reader.mask_path = masks
    database.unlink(missing_ok=True)
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
                database, images, image_names=block, reader_options=reader, extraction_options=options
            )
            progress.update(len(block))


def extract_features(
    database: Path,
    images: str | Path,
    *,
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    threads: int,
    masks: str | Path | None = None,
    peak_threshold: float = PEAK_THRESHOLD,
    affine: bool = False,
) -> None:
    """Make a COLMAP database of features, with a camera for each lens.

    Args:
        max_image_size: longer side in pixels at which features are detected.
        first_octave: -1 doubles the image first: more and finer features, four times the work. None does so
            for images of up to 640 pixels, and if larger ones have few features.
        masks: a folder with a mask NAME.png for each image, where NAME includes the image's suffix. No
            features are found where it is black.
        affine: affine shape and domain-size pooling of features, for large changes of view: much slower.
    """
    options = pycolmap.FeatureExtractionOptions()
    options.max_image_size = max_image_size
    options.num_threads = threads
    options.sift.max_num_features = max_features
    options.sift.peak_threshold = peak_threshold
    options.sift.estimate_affine_shape = options.sift.domain_size_pooling = affine
    lenses = images_by_lens(images)
    if len(lenses) > 1:
        log.info("%s: %d lenses or image sizes, one camera for each", images, len(lenses))
    small = max(max(lens.size) for lens in lenses) <= SMALL
    octaves = [first_octave] if first_octave is not None else [-1] if small else [0, -1]
    for octave in octaves:
        options.sift.first_octave = octave
        _extract(database, images, lenses, options, masks)
        features = count_matches(database).features_per_image
        if features >= FEW:
            break
        log.info("%s: only %.0f features per image with first_octave: %d", images, features, octave)
