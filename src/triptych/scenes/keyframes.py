"""The file of a recorded camera path, which the viewer saves and the fly-through renders.

The JSON object has the keys

- `format`: "triptych-camera-path-1";
- `scene`: the name of the scene in which it was recorded;
- `seconds`, `fps`: length of the film and frames per second;
- `aspect`: width of the pictures divided by their height;
- `keyframes`: at least two, in order, each with `transform_matrix`, camera-to-world as 4 rows of 4
  numbers in the convention of the scene's transforms.json (x right, y up, z backward; world units),
  and `fov`, the vertical field of view in degrees.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError, malformed
from triptych.workflow.files import read_json, write_json

FORMAT = "triptych-camera-path-1"
LIMITS = {"seconds": (0, 600), "fps": (0, 120), "aspect": (0.05, 20), "fov": (0, 179)}


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


def write_camera_path(target: Path, path: CameraPath, *, scene: str) -> None:
    """Write a path atomically."""
    keyframes = [{"transform_matrix": one.pose.tolist(), "fov": one.fov} for one in path.keyframes]
    numbers = {"seconds": path.seconds, "fps": path.fps, "aspect": path.aspect}
    write_json(target, {"format": FORMAT, "scene": scene, **numbers, "keyframes": keyframes})


def _number(content: dict[str, Any], name: str) -> float:
    value, (low, high) = float(content[name]), LIMITS[name]
    if not low < value <= high:
        raise ValueError(f"{name} is {value:g}, not above {low:g} and at most {high:g}")
    return value


def _keyframe(content: dict[str, Any]) -> Keyframe:
    pose = np.asarray(content["transform_matrix"], dtype=np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError("a transform_matrix is not 4 rows of 4 finite numbers")
    rotation = pose[:3, :3]
    if not np.allclose(rotation.T @ rotation, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
        raise ValueError("a transform_matrix does not rotate")
    return Keyframe(pose, _number(content, "fov"))


def read_camera_path(file: Path, *, scene: str | None = None) -> CameraPath:
    """Read and check a path.

    Args:
        file: the path.
        scene: the scene in which it must have been recorded, as coordinates differ between scenes; None: any.

    Raises:
        TriptychError: the file is missing, not a camera path, or from another scene.
    """
    try:
        content = read_json(file)
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']}, not {FORMAT}")
        keyframes = tuple(_keyframe(one) for one in content["keyframes"])
        if len(keyframes) < 2:
            raise ValueError(f"it has {len(keyframes)} keyframes; at least 2 are needed")
        recorded = content["scene"]
        path = CameraPath(keyframes, *(_number(content, name) for name in ("seconds", "fps", "aspect")))
    except FileNotFoundError as error:
        raise TriptychError(f"{file}: not found; record a camera path in the viewer") from error
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise TriptychError(
            f"{file}: not a camera path ({malformed(error)}); record it in the viewer again"
        ) from error
    if scene not in (None, recorded):
        raise TriptychError(
            f"{file}: recorded in scene {recorded}, not in {scene}; record it there, or, if the two share "
            f'their coordinates, say "scene": "{scene}" in the file'
        )
    return path
