"""Structure from motion, first half: SIFT features, matches between images, verified by geometry."""

import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, NamedTuple, TypeVar

import numpy as np
import pycolmap
from PIL import Image

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path
from triptych.workflow.progress import Progress
from triptych.workflow.seeds import derive_seed

log = logging.getLogger("triptych")

Item = TypeVar("Item")
Matcher = Literal["exhaustive", "sequential"]
CAMERA_MODEL = "OPENCV"  # fx, fy, cx, cy, k1, k2, p1, p2: what instant-ngp's format holds
ADVICE = (
    "try sfm.matcher: exhaustive, sfm.first_octave: -1, a higher sfm.max_features or fps, "
    "or film more slowly around something textured that stands still"
)
# Images (and, squared, pairs) handed to COLMAP at a time: few enough for progress to be seen.
BLOCK = 10
# Up to this longer side doubling the image first pays: SIFT's finest octave of a small picture
# has too few features, and the four times as many pixels are still few.
SMALL = 640


class MatchCounts(NamedTuple):
    """What is in a database: images, features in all, pairs with matches, pairs verified."""

    images: int
    features: int
    matched_pairs: int
    verified_pairs: int

    def __str__(self) -> str:
        return (
            f"{self.images} images with {self.features / max(self.images, 1):.0f} features each, "
            f"{self.matched_pairs} pairs with matches, {self.verified_pairs} of them verified"
        )


def count_matches(database: str | Path) -> MatchCounts:
    """Read the counts of a COLMAP database."""
    with pycolmap.Database.open(database) as opened:
        # COLMAP keeps a row for every pair it tried, also where nothing was found.
        _, matches = opened.read_num_matches()
        _, inliers = opened.read_two_view_geometry_num_inliers()
        return MatchCounts(
            opened.num_images(),
            opened.num_keypoints(),
            int(np.count_nonzero(matches)),
            int(np.count_nonzero(inliers)),
        )


def colmap_seed(*parts: int | str) -> int:
    """A seed in the range that COLMAP takes (32 bits, and -1 would mean the clock)."""
    return derive_seed(*parts) % 2**31


def quieten() -> None:
    """Let COLMAP print nothing below errors; our own log says what matters."""
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    pycolmap.logging.stderrthreshold = pycolmap.logging.ERROR.value


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Consecutive parts of at most `size` items."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def images_by_size(folder: str | Path) -> dict[tuple[int, int], list[str]]:
    """Names of the images in a folder, sorted, under each (width, height) that occurs."""
    sizes: dict[tuple[int, int], list[str]] = defaultdict(list)
    for path in sorted(Path(folder).glob("[!.]*")):  # Snakemake keeps a hidden timestamp beside them
        with Image.open(path) as image:
            sizes[image.size].append(path.name)
    return dict(sizes)


def image_pairs(images: int, *, matcher: Matcher, overlap: int) -> list[tuple[int, int]]:
    """Positions (first < second) of the pairs to match, near ones in the list near in memory.

    Exhaustive: every pair. Sequential: each image with the next `overlap`, and with those 2, 4,
    8, ... up to 2^(overlap - 1) further on, which ties loops together at little cost.
    """
    if matcher == "exhaustive":
        pairs = [(first, second) for second in range(images) for first in range(second)]
    else:
        steps = set(range(1, overlap + 1)) | {2**power for power in range(min(overlap, 30))}
        pairs = [(first, first + step) for step in steps for first in range(images - step)]
    return sorted(pairs, key=lambda pair: (pair[0] // BLOCK, pair[1] // BLOCK, pair))


def extract_features(
    database: Path,
    images: str | Path,
    *,
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    threads: int,
) -> None:
    """Fill a new COLMAP database with cameras and SIFT features.

    Images of one size share a camera. COLMAP's own single-camera mode silently leaves out
    images of another size, so each size is imported on its own.
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
        log.info("%s: %d image sizes, a camera for each", images, len(sizes))

    with pycolmap.Database.open(database):
        pass  # makes the tables
    # Registered first and one by one: threads would number the images as they finish, and
    # everything after depends on that order.
    for names in sizes.values():
        pycolmap.import_images(
            database, images, camera_mode=pycolmap.CameraMode.SINGLE, image_names=names, options=reader
        )
    every = [name for names in sizes.values() for name in names]
    with Progress(len(every), "finding features", unit="image") as progress:
        for part in batched(every, BLOCK):
            pycolmap.extract_features(
                database,
                images,
                image_names=part,
                reader_options=reader,
                extraction_options=extraction,
            )
            progress.update(len(part))


def match_pairs(database: Path, *, matcher: Matcher, overlap: int, seed: int, threads: int) -> None:
    """Match the features of image pairs and verify each pair by its epipolar geometry.

    The pairs go to COLMAP in parts, so that progress can be shown. (Its database must not be
    read meanwhile: a second SQLite in one process breaks the first one's locks.)
    """
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = colmap_seed("verification", seed)
    with pycolmap.Database.open(database) as opened:
        names = sorted(image.name for image in opened.read_all_images())
    pairs = image_pairs(len(names), matcher=matcher, overlap=overlap)
    with (
        Progress(len(pairs), f"matching ({matcher})", unit="pair") as progress,
        NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listing,
    ):
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listing.name
        for part in batched(pairs, BLOCK**2):
            listing.seek(0)
            listing.truncate()
            listing.writelines(f"{names[first]} {names[second]}\n" for first, second in part)
            listing.flush()
            pycolmap.match_image_pairs(
                database,
                matching_options=matching,
                pairing_options=pairing,
                verification_options=verification,
            )
            progress.update(len(part))


def match_features(
    images: str | Path,
    database: str | Path,
    *,
    matcher: Matcher,
    overlap: int,
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    seed: int,
    threads: int,
) -> MatchCounts:
    """Make the COLMAP database of a folder of frames: features, matches, verified pairs.

    Args:
        images: folder with nothing but images.
        database: written atomically.
        matcher: `exhaustive` tries every pair; `sequential` tries pairs that are near in order
            of name, for films.
        overlap: of sequential matching: how many following images each image is tried with.
        max_image_size: longer side in pixels at which features are sought.
        max_features: at most this many in an image.
        first_octave: -1 doubles the image first: more and finer features, four times the work.
            None does so for images of up to 640 pixels and takes 0 for larger ones.
        seed: of RANSAC.
        threads: COLMAP's; the result does not depend on it (one run in some hundreds, on a busy
            machine, led to poses 1e-5 away: not COLMAP's seeds, and not found out what).

    Raises:
        TriptychError: if there is nothing to match or no pair of images fits together.
    """
    quieten()
    with atomic_path(database) as temporary:
        extract_features(
            temporary,
            images,
            max_image_size=max_image_size,
            max_features=max_features,
            first_octave=first_octave,
            threads=threads,
        )
        counts = count_matches(temporary)
        if counts.features == 0:
            raise TriptychError(
                f"{images}: feature extraction found nothing in {counts.images} images; they have no texture "
                "(black, white, or out of focus?): film a scene with detail, in good light"
            )
        match_pairs(temporary, matcher=matcher, overlap=overlap, seed=seed, threads=threads)
        counts = count_matches(temporary)
        log.info("%s: %s", images, counts)
        if counts.verified_pairs == 0:
            raise TriptychError(
                f"{images}: matching found no two images that fit together ({counts}); {ADVICE}"
            )
    return counts
