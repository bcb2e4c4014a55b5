"""What the matches of a scene say about how it was filmed, and advice for the next capture."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pycolmap
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from triptych.sfm.database import MatchCounts, count_matches

FEW_FEATURES = 300  # per image, median
SAMPLE = 300  # verified pairs that turns are fitted to
MOSTLY = 0.95  # of the verified pairs
STILL = 0.003  # of the image's diagonal: the camera stood still if features move less
LITTLE = 0.02  # of the image's diagonal: less motion has too little parallax to start from
TURN_ERROR = 0.002  # of the image's diagonal: matches that a turn of the camera explains are no further off
TURN_SHARE = 0.1  # of their motion that the turn leaves: else, a short step explains them as well
FOCAL_LENGTHS = np.geomspace(0.4, 4, 15)  # tried, in diagonals: that of the lens is not known yet
# A background that stands still behind something that moves. Found features are off by less than a pixel; in
# photographs from the hand, at most 3 % of the matches of a pair are as still.
SAME_PLACE = 0.001  # of the image's diagonal, at least a pixel
ELSEWHERE = 5  # times as far
MIN_STILL, MIN_MOVING = 0.2, 0.05  # shares of the matches
MAX_BETWEEN = 0.5  # of the still ones: where the camera moves, motions have no gap
MIN_MATCHES = 30
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
    """Figures of a capture."""

    counts: MatchCounts  # numbers of images, features and pairs
    median_features: float  # median number of features per image
    one_plane: float  # share of the verified pairs that a plane, or a turn of the camera alone, explains
    only_turned: float  # share of the sampled pairs that a turn explains, with one focal length for all
    motion: float  # median motion of matched features, as a share of the image's diagonal
    stood_still: float  # share of the verified pairs between which features hardly move
    still_background: float  # share of images with something in its very place, while something else moved


def _moves_before_still(steps: NDArray[np.float64], diagonal: float) -> bool:
    """Whether some matches stay in place and others move, with a gap between."""
    near = max(SAME_PLACE * diagonal, 1.0)
    still, moving = float((steps < near).mean()), float((steps > ELSEWHERE * near).mean())
    between = 1 - still - moving
    return (
        len(steps) >= MIN_MATCHES
        and still >= MIN_STILL
        and moving >= MIN_MOVING
        and between <= MAX_BETWEEN * still
    )


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


def diagnose(path: str | Path) -> Diagnosis:
    """Measure the figures of a COLMAP database."""
    counts = count_matches(path)
    with pycolmap.Database.open(path) as database:
        images = database.read_all_images()
        sizes = {
            image.image_id: np.array([camera.width, camera.height], float)
            for image in images
            for camera in [database.read_camera(image.camera_id)]
        }
        positions = {number: np.asarray(database.read_keypoints(number))[:, :2] for number in sizes}
        kinds: list[pycolmap.TwoViewGeometryConfiguration] = []
        motions, turns = [], []
        before_still: set[int] = set()
        stride = max(counts.verified_pairs // SAMPLE, 1)
        for number, geometry in zip(*database.read_two_view_geometries(), strict=True):
            if not len(geometry.inlier_matches):
                continue
            kinds.append(pycolmap.TwoViewGeometryConfiguration(geometry.config))
            pair = pycolmap.pair_id_to_image_pair(number)
            # All matches: background and foreground move differently, so one of them is no inlier.
            matches = np.asarray(database.read_matches(*pair))
            start, end = (
                np.asarray(positions[image][matches[:, side]], float) for side, image in enumerate(pair)
            )
            size = sizes[pair[0]]
            diagonal = float(np.linalg.norm(size))
            steps = np.linalg.norm(end - start, axis=1)
            motions.append(float(np.median(steps)) / diagonal)
            if _moves_before_still(steps, diagonal):
                before_still.update(pair)
            if len(motions) % stride == 0:
                most = min(TURN_ERROR, TURN_SHARE * motions[-1]) * diagonal
                turns.append(
                    [_turn_error(start, end, size, focal * diagonal) < most for focal in FOCAL_LENGTHS]
                )
    features = [len(found) for found in positions.values()]
    return Diagnosis(
        counts=counts,
        median_features=float(np.median(features)) if features else 0.0,
        one_plane=sum(kind in ONE_PLANE for kind in kinds) / max(len(kinds), 1),
        only_turned=float(np.mean(turns, axis=0).max()) if turns else 0.0,
        motion=float(np.median(motions)) if motions else 0.0,
        stood_still=float(np.mean(np.array(motions) < STILL)) if motions else 0.0,
        still_background=len(before_still) / max(len(sizes), 1),
    )


def has_still_background(found: Diagnosis) -> bool:
    """Whether something turned or moved before a background that stood still, as on a turntable."""
    return found.still_background > 0.5


def _fit_together(found: Diagnosis) -> bool:
    """Whether enough pairs are verified to judge the capture by them."""
    images, verified = found.counts.images, found.counts.verified_pairs
    return verified > 0 and verified >= min(2 * images, images * (images - 1) / 4)


def is_hopeless(found: Diagnosis) -> bool:
    """Whether the camera never was in two places, so that any model would be wrong."""
    return _fit_together(found) and max(found.stood_still, min(found.one_plane, found.only_turned)) > MOSTLY


def advise(found: Diagnosis) -> str:
    """One sentence on what is wrong with a capture and what to do, by its figures."""
    few_features = (
        f"an image has only {found.median_features:.0f} features (median): film something textured, in "
        "good light and in focus, or set sfm.first_octave: -1 and a larger sfm.max_image_size"
    )
    steps = f"features move by {100 * found.motion:.1f} % of the image's diagonal (median)"
    if has_still_background(found):
        return (
            f"in {found.still_background:.0%} of the images, something moves before a background that stands "
            "still, as on a turntable: give masks of the background (`masks`), with `masked: empty`"
        )
    if not _fit_together(found):
        if found.median_features < FEW_FEATURES:
            return few_features
        if not found.counts.verified_pairs:
            return f"no two images show the same things: {FILM_AGAIN}"
        return f"few images fit together: {FILM_AGAIN}, or set sfm.matcher: exhaustive"
    if found.stood_still > MOSTLY:
        return f"the camera stood still: between two images, {steps}; walk around what you film"
    if min(found.one_plane, found.only_turned) > MOSTLY:
        return (
            f"the camera only turned: a turn explains {found.only_turned:.0%} of the image pairs; "
            "walk around what you film"
        )
    if found.one_plane > MOSTLY:
        return (
            f"a plane explains {found.one_plane:.0%} of the verified pairs: what the camera sees is flat, or "
            f"it hardly moved ({steps}); film something that has depth, and take larger steps"
        )
    if found.motion < LITTLE:
        return f"the camera hardly moved: between two images, {steps}; take larger steps"
    if found.median_features < FEW_FEATURES:
        return few_features
    return f"the images fit together only in parts: {FILM_AGAIN}"
