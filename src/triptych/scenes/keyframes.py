"""The file of a recorded camera path, which the viewer saves and the fly-through renders.

The JSON object has the keys

- `format`: "triptych-camera-path-1";
- `scene`: the name of the scene in which it was recorded;
- `seconds`, `fps`: length of the film and frames per second;
- `aspect`: width of the pictures divided by their height;
- `keyframes`: 2 to 1000, in order, each with `transform_matrix`, camera-to-world as 4 rows of 4
  numbers in the convention of the scene's transforms.json (x right, y up, z backward; world units),
  and `fov`, the vertical field of view in degrees.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from triptych.scenes.listed_files import printable
from triptych.workflow.errors import TriptychError, malformed
from triptych.workflow.files import read_json, write_json

FORMAT = "triptych-camera-path-1"
LIMITS = {"seconds": (0.05, 600), "fps": (0.5, 120), "aspect": (0.05, 20), "fov": (0.1, 179)}
MAX_KEYFRAMES = 1000
MAX_DISTANCE = 1e6  # world units from the origin


@dataclass(frozen=True)
class Keyframe:
    """One camera: camera-to-world `pose` (4, 4) with OpenGL axes, vertical `fov` in degrees."""

    pose: NDArray[np.float64]
    fov: float


@dataclass(frozen=True)
class CameraPath:
    """Keyframes in order, the film's length and frame rate, and its width over height."""

    keyframes: tuple[Keyframe, ...]
    seconds: float
    fps: float
    aspect: float


def check_camera_path(path: CameraPath) -> None:
    """Raise `ValueError` if a path cannot be played: `read_camera_path` would refuse its file."""
    if not 2 <= len(path.keyframes) <= MAX_KEYFRAMES:
        raise ValueError(f"it has {len(path.keyframes)} keyframes; it needs 2 to {MAX_KEYFRAMES}")
    numbers = [(name, getattr(path, name)) for name in ("seconds", "fps", "aspect")]
    for name, value in [*numbers, *(("fov", keyframe.fov) for keyframe in path.keyframes)]:
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name} is {value:g}; it must be between {low:g} and {high:g}")
    for pose in (keyframe.pose for keyframe in path.keyframes):
        if pose.shape != (4, 4) or not (np.abs(pose) <= MAX_DISTANCE).all():
            raise ValueError("a transform_matrix is not 4 rows of 4 numbers, or is far away")
        rotation = pose[:3, :3]
        if not np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise ValueError("a transform_matrix does not rotate")


def write_camera_path(target: Path, path: CameraPath, *, scene: str) -> None:
    """Write a path atomically. Raises `ValueError` as `check_camera_path` does."""
    check_camera_path(path)
    keyframes = [{"transform_matrix": one.pose.tolist(), "fov": one.fov} for one in path.keyframes]
    numbers = {"seconds": path.seconds, "fps": path.fps, "aspect": path.aspect}
    write_json(target, {"format": FORMAT, "scene": scene, **numbers, "keyframes": keyframes})


def read_camera_path(file: Path, *, scene: str | None = None) -> CameraPath:
    """Read and check a path, recorded in the given scene, as coordinates differ between scenes (None: in
    any). Raises `TriptychError` if the file is missing, not a camera path, or from another scene.
    """
    try:
        content = read_json(file)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")
        keyframes = tuple(
            Keyframe(np.asarray(one["transform_matrix"], dtype=np.float64), float(one["fov"]))
            for one in content["keyframes"]
        )
        recorded = printable(str(content["scene"]))
        path = CameraPath(keyframes, *(float(content[name]) for name in ("seconds", "fps", "aspect")))
        check_camera_path(path)
    except FileNotFoundError as error:
        raise TriptychError(f"{file}: not found; record a camera path in the viewer") from error
    except (OSError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise TriptychError(
            f"{file}: not a camera path ({malformed(error)}); record it in the viewer again"
        ) from error
    if scene not in (None, recorded):
        raise TriptychError(
            f"{file}: recorded in scene {recorded}, not in {scene}; record it there, or, if the two share "
            f'their coordinates, say "scene": "{scene}" in the file'
        )
    return path
