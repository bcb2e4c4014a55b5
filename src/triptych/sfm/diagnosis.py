"""What the matches of a scene say about how it was filmed, and advice for the next capture."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
from numpy.typing import NDArray

from triptych.sfm.database import MatchCounts, count_matches

FEW_FEATURES = 300  # per image, median
SAMPLE = 300  # verified pairs of which the motion is measured
MOSTLY = 0.95  # of the verified pairs
STILL = 0.003  # of the image's diagonal: features that move less stand still
BORDER = 0.15  # of the width and height, on each side
MIN_MATCHES = 10  # in a part of an image pair, to say whether it moves
ONE_PLANE = {
    pycolmap.TwoViewGeometryConfiguration.PLANAR,
    pycolmap.TwoViewGeometryConfiguration.PANORAMIC,
    pycolmap.TwoViewGeometryConfiguration.PLANAR_OR_PANORAMIC,
}

FILM_AGAIN = (
    "film more slowly around something textured that stands still, with half of each view in the next, "
    "or keep more frames (frames.fps)"
)


class Diagnosis(NamedTuple):
    """Figures of a capture.

    Attributes:
        counts: numbers of images, features and pairs.
        median_features: median number of features per image.
        without_parallax: share of the verified pairs that a plane, or a turn of the camera alone, explains.
        motion: median motion of matched features, as a share of the image's diagonal.
        still_border: share of the sampled pairs whose border stands still while their middle moves.
    """

    counts: MatchCounts
    median_features: float
    without_parallax: float
    motion: float
    still_border: float


def _moving(start: NDArray[np.float64], end: NDArray[np.float64], diagonal: float) -> bool | None:
    """Whether most features move, None if there are too few."""
    if len(start) < MIN_MATCHES:
        return None
    return bool(np.median(np.linalg.norm(end - start, axis=1)) > STILL * diagonal)


def _positions(database: pycolmap.Database, image: int) -> NDArray[np.float64]:
    return np.asarray(database.read_keypoints(image), float)[:, :2]


def diagnose(path: str | Path) -> Diagnosis:
    """Measure the figures of a COLMAP database."""
    counts = count_matches(path)
    with pycolmap.Database.open(path) as database:
        images = {
            image.image_id: database.read_camera(image.camera_id) for image in database.read_all_images()
        }
        features = [database.num_keypoints_for_image(image) for image in images]
        numbers, geometries = database.read_two_view_geometries()
        verified = [
            (pycolmap.pair_id_to_image_pair(number), geometry.config)
            for number, geometry in zip(numbers, geometries, strict=True)
            if len(geometry.inlier_matches)
        ]
        kinds = Counter(pycolmap.TwoViewGeometryConfiguration(kind) for _, kind in verified)
        motions, borders = [], []
        for (first, second), _ in verified[:: max(len(verified) // SAMPLE, 1)]:
            # All matches: on a turntable, border and middle move differently, so one of them is no inlier.
            matches = np.asarray(database.read_matches(first, second))
            start = _positions(database, first)[matches[:, 0]]
            end = _positions(database, second)[matches[:, 1]]
            size = np.array([images[first].width, images[first].height], float)
            diagonal = float(np.linalg.norm(size))
            motions.append(float(np.median(np.linalg.norm(end - start, axis=1))) / diagonal)
            outside = ((start < BORDER * size) | (start > (1 - BORDER) * size)).any(axis=1)
            border, middle = (_moving(start[part], end[part], diagonal) for part in (outside, ~outside))
            borders.append(border is False and middle is True)
    return Diagnosis(
        counts=counts,
        median_features=float(np.median(features)) if features else 0.0,
        without_parallax=sum(kinds[kind] for kind in ONE_PLANE) / max(len(verified), 1),
        motion=float(np.median(motions)) if motions else 0.0,
        still_border=float(np.mean(borders)) if borders else 0.0,
    )


def is_hopeless(found: Diagnosis) -> bool:
    """Whether no views from different places are there, so that any model would be wrong."""
    return found.counts.verified_pairs > 0 and (found.motion < STILL or found.without_parallax > MOSTLY)


def advise(found: Diagnosis) -> str:
    """One sentence on what is wrong with a capture and what to do, by its figures."""
    if found.median_features < FEW_FEATURES:
        return (
            f"an image has only {found.median_features:.0f} features (median): film something textured, in "
            "good light and in focus, or set sfm.first_octave: -1"
        )
    if not found.counts.verified_pairs:
        return f"no two images show the same things: {FILM_AGAIN}"
    if found.still_border > 0.5:
        return (
            "the border of the images stands still while their middle moves, as on a turntable: use a plain "
            "background, or give masks of the background (the scene's `masks`)"
        )
    if found.motion < STILL:
        return (
            "the camera stood still: matched features hardly move between images; walk around what you film"
        )
    if found.without_parallax > MOSTLY:
        return (
            f"the camera only turned, or everything it sees is flat: a plane or a turn explains "
            f"{found.without_parallax:.0%} of the verified pairs; walk around something that has depth"
        )
    if found.counts.verified_pairs < 2 * found.counts.images:
        return f"few images fit together: {FILM_AGAIN}, or set sfm.matcher: exhaustive"
    return f"the images fit together only in parts: {FILM_AGAIN}"
