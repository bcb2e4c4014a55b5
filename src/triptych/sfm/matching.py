"""Matches between the features of images, verified by the geometry of each pair."""

import logging
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Literal, NamedTuple

import numpy as np
import pycolmap

from triptych.data.image_files import natural_order
from triptych.sfm.features import extract_features
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_path
from triptych.workflow.progress import Progress
from triptych.workflow.seeds import derive_seed

log = logging.getLogger("triptych")

Matcher = Literal["exhaustive", "sequential"]
ADVICE = (
    "try sfm.matcher: exhaustive, sfm.first_octave: -1, a higher sfm.max_features or fps, "
    "or film more slowly around something textured that stands still"
)
BLOCK = 10  # the pairs of BLOCK x BLOCK images per call of COLMAP, between which progress is shown


class MatchCounts(NamedTuple):
    """Numbers of images, of features over all images, of pairs with matches, and of verified pairs."""

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
        # COLMAP keeps a row for every pair that it tried, even without matches.
        _, matches = opened.read_num_matches()
        _, inliers = opened.read_two_view_geometry_num_inliers()
        pairs = int(np.count_nonzero(matches)), int(np.count_nonzero(inliers))
        return MatchCounts(opened.num_images(), opened.num_keypoints(), *pairs)


def colmap_seed(*parts: int | str) -> int:
    """A seed in COLMAP's range (32 bits; -1 would mean the clock)."""
    return derive_seed(*parts) % 2**31


def quieten() -> None:
    """Let COLMAP print errors only; the log has the rest."""
    pycolmap.logging.minloglevel = pycolmap.logging.ERROR.value
    pycolmap.logging.stderrthreshold = pycolmap.logging.ERROR.value


def image_pairs(images: int, *, matcher: Matcher, overlap: int) -> list[tuple[int, int]]:
    """Positions (first < second) of the pairs to match, ordered in blocks of images that stay in memory.

    Exhaustive: every pair. Sequential: each image with the next `overlap`, and with those 2, 4,
    8, ... up to 2^(overlap - 1) further on, which closes loops at little cost.
    """
    if matcher == "exhaustive":
        pairs = [(first, second) for second in range(images) for first in range(second)]
    else:
        steps = set(range(1, overlap + 1)) | {2**power for power in range(min(overlap, 30))}
        pairs = [(first, first + step) for step in steps for first in range(images - step)]
    return sorted(pairs, key=lambda pair: (pair[0] // BLOCK, pair[1] // BLOCK, pair))


def match_pairs(database: Path, *, matcher: Matcher, overlap: int, seed: int, threads: int) -> None:
    """Match the features of image pairs and verify each pair by its epipolar geometry.

    COLMAP receives the pairs in blocks, so that progress can be shown. (Its database must not be read
    meanwhile: a second SQLite in one process breaks the first one's locks.)
    """
    matching = pycolmap.FeatureMatchingOptions()
    matching.num_threads = threads
    verification = pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = colmap_seed("verification", seed)
    with pycolmap.Database.open(database) as opened:
        names = sorted((image.name for image in opened.read_all_images()), key=natural_order)
    pairs = image_pairs(len(names), matcher=matcher, overlap=overlap)
    with (
        Progress(len(pairs), f"matching ({matcher})", unit="pair") as progress,
        NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listing,
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
    max_image_size: int,
    max_features: int,
    first_octave: int | None,
    seed: int,
    threads: int,
    masks: str | Path | None = None,
) -> MatchCounts:
    """Make the COLMAP database of a folder of frames: features, matches, verified pairs.

    Args:
        images: folder with nothing but images.
        database: written atomically.
        matcher: `exhaustive` tries every pair; `sequential` tries pairs that are near in order
            of name, for films.
        overlap: number of following images that sequential matching pairs each image with.
        max_image_size: longer side in pixels at which features are detected.
        max_features: largest number of features per image.
        first_octave: -1 doubles the image first: more and finer features, four times the work.
            None does so for images of up to 640 pixels and uses 0 for larger ones.
        seed: seed of RANSAC.
        threads: number of COLMAP's threads; the result does not depend on it (one run in some hundreds, on
            a busy machine, led to poses 1e-5 away, for a reason that was not found).
        masks: a folder with a mask NAME.png for each image, where NAME includes the image's suffix. No
            features are found where it is black. None: no masks.

    Raises:
        TriptychError: if there is nothing to match or no pair of images fits together.
    """
    quieten()
    with atomic_path(database) as temporary:
        extract_features(
            temporary,
            images,
            masks=masks,
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
