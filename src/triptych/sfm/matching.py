"""Matches between the features of images, verified by the geometry of each pair."""

import logging
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import pycolmap

from triptych.data.image_files import natural_order
from triptych.sfm.database import MatchCounts, colmap_seed, count_matches, quieten
from triptych.sfm.features import extract_features
from triptych.sfm.pairs import BLOCK, Matcher, Pair, choose_matcher, describe_plan, image_pairs, images_alike
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")


def plan_pairs(
    database: Path, *, matcher: Matcher, overlap: int, seed: int, threads: int
) -> tuple[list[str], list[Pair]]:
    """Names of the images in natural order, and positions of the pairs to match; logs the estimated time."""
    counts = count_matches(database)
    matcher = choose_matcher(matcher, counts.images, counts.features_per_image)
    with pycolmap.Database.open(database) as opened:
        images = sorted(opened.read_all_images(), key=lambda image: natural_order(image.name))
        alike = []
        if matcher == "sequential":
            numbers = [image.image_id for image in images]
            alike = images_alike(opened, numbers, beyond=overlap, seed=seed)
    pairs = image_pairs(len(images), matcher=matcher, overlap=overlap, alike=alike)
    log.info("%s", describe_plan(matcher, len(pairs), counts.features_per_image, threads))
    return [image.name for image in images], pairs


def match_pairs(
    database: Path, *, matcher: Matcher, overlap: int, seed: int, threads: int, guided: bool
) -> None:
    """Match the features of image pairs and verify each pair by its epipolar geometry.

    COLMAP receives the pairs in blocks, so that progress can be shown. (Its database must not be read
    meanwhile: a second SQLite in one process breaks the first one's locks.)

    COLMAP's default matcher looks up nearest neighbours in an index. Its exhaustive one takes 31 times as
    long: 0.86 for 0.028 CPU seconds per pair of images with 3100 features each, on an AMD Zen 5.
    """
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = threads
    matching.guided_matching = guided
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = colmap_seed("verification", seed)
    names, pairs = plan_pairs(database, matcher=matcher, overlap=overlap, seed=seed, threads=threads)
    with (
        Progress(len(pairs), "matching", unit="pair") as progress,
        NamedTemporaryFile("w", prefix=f"{database.name}-", dir=database.parent, encoding="utf-8") as listing,
    ):
        pairing = pycolmap.ImportedPairingOptions()
        pairing.match_list_path = listing.name
        for start in range(0, len(pairs), BLOCK**2):
            block = pairs[start : start + BLOCK**2]
            listing.seek(0)
            listing.truncate()
            listing.writelines(f"{names[first]} {names[second]}\n" for first, second in block)
            listing.flush()
            pycolmap.match_image_pairs(
                database,
                matching_options=matching,
                pairing_options=pairing,
                verification_options=verification,
            )
            progress.update(len(block))


def match_features(
    images: str | Path,
    database: str | Path,
    *,
    matcher: Matcher,
    overlap: int,
    seed: int,
    threads: int,
    guided: bool = False,
    **features: Any,
) -> MatchCounts:
    """Make the COLMAP database of a folder of frames: features, matches, verified pairs.

    Raises `TriptychError` if no image has features.

    Args:
        matcher: `exhaustive` tries every pair; `sequential` tries pairs that are near in order of name, and
            those that look alike; `auto`: see `choose_matcher`.
        threads: the result does not depend on them (one run in some hundreds, on a busy machine, led to poses
            1e-5 away, for a reason that was not found).
        guided: match again along the epipolar lines of a first match: slower, more matches.
        features: further arguments of `extract_features`.
    """
    quieten()
    with atomic_path(database) as temporary:
        extract_features(temporary, images, threads=threads, **features)
        counts = count_matches(temporary)
        if counts.features == 0:
            raise TriptychError(
                f"{images}: feature extraction found nothing in {counts.images} images; they have no texture "
                "(black, white, or out of focus?): film a scene with detail, in good light"
            )
        match_pairs(temporary, matcher=matcher, overlap=overlap, seed=seed, threads=threads, guided=guided)
        counts = count_matches(temporary)
        log.info("%s: %s", images, counts)
    return counts
