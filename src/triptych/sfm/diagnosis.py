"""What the matches of a scene say about how it was filmed, and advice for the next capture."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from triptych.sfm.database import MatchCounts, count_matches

FEW_FEATURES = 300  # per image, median
SAMPLE = 300  # verified pairs of which the motion is measured
MOSTLY = 0.95  # of the verified pairs
STILL = 0.003  # of the image's diagonal: features that move less stand still
BORDER = 0.15  # of the width and height, on each side
TURN_ERROR = 0.002  # of the image's diagonal: matches that a turn of the camera explains are no further off
FOCAL_LENGTHS = np.geomspace(0.4, 4, 15)  # tried, in diagonals: that of the lens is not known yet
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
        one_plane: share of the verified pairs that a plane, or a turn of the camera alone, explains.
        only_turned: share of the sampled pairs that a turn explains, with one focal length for all.
        motion: median motion of matched features, as a share of the image's diagonal.
        still_border: share of the sampled pairs whose border stands still while their middle moves.
    """

    counts: MatchCounts
    median_features: float
    one_plane: float
    only_turned: float
    motion: float
    still_border: float


def _moving(start: NDArray[np.float64], end: NDArray[np.float64], diagonal: float) -> bool | None:
    """Whether most features move, None if there are too few."""
    if len(start) < MIN_MATCHES:
        return None
    return bool(np.median(np.linalg.norm(end - start, axis=1)) > STILL * diagonal)


def _turn_error(
    start: NDArray[np.float64], end: NDArray[np.float64], size: NDArray[np.float64], focal: float
) -> float:
    """Median error, in pixels, of the turn of a camera of this focal length that explains matches best."""
    before, after = (
        np.column_stack([position - size / 2, np.full(len(position), focal)]) for position in (start, end)
    )
    before, after = (rays / np.linalg.norm(rays, axis=1, keepdims=True) for rays in (before, after))
    turn, _ = Rotation.align_vectors(after, before)
    kept = np.linalg.norm(turn.apply(before) - after, axis=1)
    kept = kept <= np.median(kept)  # once more without wrong matches
    turn, _ = Rotation.align_vectors(after[kept], before[kept])
    return float(focal * np.median(np.linalg.norm(turn.apply(before) - after, axis=1)))


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
        motions, borders, turns = [], [], []
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
            turns.append(
                [_turn_error(start, end, size, focal * diagonal) / diagonal for focal in FOCAL_LENGTHS]
            )
    return Diagnosis(
        counts=counts,
        median_features=float(np.median(features)) if features else 0.0,
        one_plane=sum(kinds[kind] for kind in ONE_PLANE) / max(len(verified), 1),
        only_turned=float((np.array(turns) < TURN_ERROR).mean(axis=0).max()) if turns else 0.0,
        motion=float(np.median(motions)) if motions else 0.0,
        still_border=float(np.mean(borders)) if borders else 0.0,
    )


def is_hopeless(found: Diagnosis) -> bool:
    """Whether the camera never was in two places, so that any model would be wrong."""
    still = found.counts.verified_pairs > 0 and found.motion < STILL
    return still or min(found.one_plane, found.only_turned) > MOSTLY


def advise(found: Diagnosis) -> str:
    """One sentence on what is wrong with a capture and what to do, by its figures."""
    if found.still_border > 0.5:
        return (
            "the border of the images stands still while their middle moves, as on a turntable: use a plain "
            "background, or give masks of the background (the scene's `masks`)"
        )
    if found.counts.verified_pairs and found.motion < STILL:
        return (
            "the camera stood still: matched features hardly move between images; walk around what you film"
        )
    if min(found.one_plane, found.only_turned) > MOSTLY:
        return (
            f"the camera only turned: a turn explains {found.only_turned:.0%} of the image pairs; "
            "walk around what you film"
        )
    if found.one_plane > MOSTLY:
        return (
            f"what the camera sees is flat: a plane explains {found.one_plane:.0%} of the verified pairs; "
            "film something that has depth"
        )
    if found.median_features < FEW_FEATURES:
        return (
            f"an image has only {found.median_features:.0f} features (median): film something textured, in "
            "good light and in focus, or set sfm.first_octave: -1 and a larger sfm.max_image_size"
        )
    if not found.counts.verified_pairs:
        return f"no two images show the same things: {FILM_AGAIN}"
    if found.counts.verified_pairs < 2 * found.counts.images:
        return f"few images fit together: {FILM_AGAIN}, or set sfm.matcher: exhaustive"
    return f"the images fit together only in parts: {FILM_AGAIN}"
