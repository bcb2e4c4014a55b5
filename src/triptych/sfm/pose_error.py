"""How far estimated camera poses are from reference poses, up to a similarity transform."""

from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from triptych.data.image_files import plain_name
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json

Array = NDArray[np.float64]


def read_poses(path: str | Path) -> dict[str, Array]:
    """Camera-to-world (4, 4) matrices of a transforms.json, by file name without folder and suffix.

    Names are made plain, as those of frames are.
    Raises `TriptychError` if the file cannot be read or is no transforms.json.
    """
    try:
        return {
            plain_name(PurePosixPath(frame["file_path"]).stem): np.array(
                frame["transform_matrix"], float
            ).reshape(4, 4)
            for frame in read_json(path)["frames"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TriptychError(
            f"{path}: not a transforms.json ({type(error).__name__}: {error}); "
            "correct the scene's reference in the config"
        ) from error


def compare_poses(estimated: dict[str, Array], reference: dict[str, Array]) -> dict[str, float]:
    """Align the estimated cameras with the reference cameras, by name, and measure what remains.

    The similarity has the least squared distance between camera centres: Umeyama, "Least-squares estimation
    of transformation parameters between two point patterns", PAMI 13(4), 1991. Only names that occur in both
    are compared. Positions are in percent of the span, the greatest distance between two compared reference
    cameras. Raises `TriptychError` if fewer than three frames are in both, or all cameras are on one line.
    """
    names = sorted(estimated.keys() & reference.keys())
    if len(names) < 3:
        raise TriptychError(
            f"pose comparison: only {len(names)} of {len(estimated)} frames are in the reference, at least 3 "
            f"are needed; names look like '{min(estimated, default='-')}' here and "
            f"'{min(reference, default='-')}' there"
        )
    a, b = (np.stack([poses[name] for name in names]) for poses in (estimated, reference))
    source, target = (poses[:, :3, 3] - poses[:, :3, 3].mean(axis=0) for poses in (a, b))
    if np.linalg.matrix_rank(target.T @ source, rtol=1e-9) < 2:
        raise TriptychError(
            f"pose comparison: {len(names)} cameras on one line determine no alignment; "
            "at least 3 that are not in line are needed in both files"
        )
    rotation = Rotation.align_vectors(target, source)[0]
    rotated = rotation.apply(source)
    scale = np.sum(target * rotated) / np.sum(source**2)
    span = float(np.linalg.norm(target[:, None] - target, axis=-1).max())
    distances = np.linalg.norm(scale * rotated - target, axis=1) / span * 100
    turns = Rotation.from_matrix(b[:, :3, :3]).inv() * rotation * Rotation.from_matrix(a[:, :3, :3])
    angles = np.degrees(turns.magnitude())
    return {
        "images": len(names),
        "median_rotation_degrees": float(np.median(angles)),
        "max_rotation_degrees": float(angles.max()),
        "median_position_percent": float(np.median(distances)),
        "max_position_percent": float(distances.max()),
        "camera_span": span,
    }
