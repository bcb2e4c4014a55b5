"""How far estimated camera poses are from reference poses, up to a similarity transform."""

from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych.sfm.names import plain_name
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json

Array = NDArray[np.float64]


class Similarity(NamedTuple):
    """y = scale * rotation @ x + translation."""

    scale: float
    rotation: Array
    translation: Array

    def points(self, points: Array) -> Array:
        """Apply to (n, 3) points."""
        return np.asarray(self.scale * points @ self.rotation.T + self.translation)


def umeyama(source: Array, target: Array) -> Similarity:
    """The similarity that maps `source` onto `target` with the least squared error.

    Umeyama, "Least-squares estimation of transformation parameters between two point
    patterns", PAMI 13(4), 1991, equations 40 to 42.

    Args:
        source: (n, 3) points, at least three, not all on one line.
        target: (n, 3) where they should go.

    Raises:
        TriptychError: if the points do not determine a rotation.
    """
    mean_source, mean_target = source.mean(axis=0), target.mean(axis=0)
    from_source, from_target = source - mean_source, target - mean_target
    left, values, right = np.linalg.svd(from_target.T @ from_source / len(source))
    if len(source) < 3 or values[1] <= 1e-9 * max(values[0], np.finfo(float).tiny):
        raise TriptychError(
            f"pose comparison: {len(source)} cameras on one line determine no alignment; "
            "at least 3 that are not in line are needed in both files"
        )
    mirror = np.ones(3)
    if np.linalg.det(left) * np.linalg.det(right) < 0:
        mirror[2] = -1
    rotation = left @ np.diag(mirror) @ right
    scale = float(values @ mirror / np.mean(np.sum(from_source**2, axis=1)))
    return Similarity(scale, rotation, mean_target - scale * rotation @ mean_source)


def angles_between(a: Array, b: Array) -> Array:
    """(n,) angles in degrees between rotation matrices (n, 3, 3).

    From the chord, not the trace: arccos loses half the digits near zero.
    """
    chords = np.linalg.norm(a - b, axis=(1, 2)) / np.sqrt(8)
    return np.asarray(np.degrees(2 * np.arcsin(np.clip(chords, 0, 1))))


def read_poses(path: str | Path) -> dict[str, Array]:
    """Camera-to-world (4, 4) matrices of a transforms.json, by file name without folder and suffix.

    Names are made plain, as those of frames are.

    Raises:
        TriptychError: if the file cannot be read or is no transforms.json.
    """
    try:
        return {
            plain_name(PurePosixPath(frame["file_path"]).stem): np.asarray(
                frame["transform_matrix"], float
            ).reshape(4, 4)
            for frame in read_json(path)["frames"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TriptychError(
            f"{path}: not a transforms.json ({type(error).__name__}: {error}); "
            "correct the scene's reference in the config"
        ) from error


def compare_poses(ours: dict[str, Array], theirs: dict[str, Array]) -> dict[str, float]:
    """Align the estimated cameras with the reference cameras and measure what remains.

    Args:
        ours: estimated poses by name, from `read_poses`.
        theirs: reference poses by name; those of other names do not count.

    Returns:
        images (compared), median_rotation_degrees, max_rotation_degrees,
        median_position_percent, max_position_percent, camera_span in the reference's units.
        Position errors are in percent of the span, the greatest distance between two compared
        reference cameras.

    Raises:
        TriptychError: if fewer than three frames are in both.
    """
    names = sorted(ours.keys() & theirs.keys())
    if len(names) < 3:
        raise TriptychError(
            f"pose comparison: only {len(names)} of {len(ours)} frames are in the reference, at least 3 are "
            f"needed; names look like '{min(ours, default='-')}' here and '{min(theirs, default='-')}' there"
        )
    a = np.stack([ours[name] for name in names])
    b = np.stack([theirs[name] for name in names])
    fit = umeyama(a[:, :3, 3], b[:, :3, 3])
    differences = b[:, None, :3, 3] - b[None, :, :3, 3]
    span = float(np.linalg.norm(differences, axis=-1).max())
    shift = np.linalg.norm(fit.points(a[:, :3, 3]) - b[:, :3, 3], axis=1) / span * 100
    turn = angles_between(fit.rotation @ a[:, :3, :3], b[:, :3, :3])
    return {
        "images": len(names),
        "median_rotation_degrees": float(np.median(turn)),
        "max_rotation_degrees": float(turn.max()),
        "median_position_percent": float(np.median(shift)),
        "max_position_percent": float(shift.max()),
        "camera_span": span,
    }
