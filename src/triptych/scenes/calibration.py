"""The numbers of one frame of a scene file: its lens, at the size in use, and its pose."""

import math
from typing import Any

import numpy as np

from triptych.workflow.errors import TriptychError

PERSPECTIVE = {"", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL"}
LEAST_VOLUME = 0.9  # that three axes of a pose span: they are rounded, hardly more
FISHEYE = {"OPENCV_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE"}


def is_fisheye(values: dict[str, Any], where: str) -> bool:
    """Whether a frame's lens is a fisheye (`is_fisheye`, or its `camera_model`).

    Raises:
        TriptychError: the lens is of an unknown model.
    """
    model = str(values.get("camera_model", "")).upper()
    if model not in PERSPECTIVE | FISHEYE:
        raise TriptychError(
            f"{where}: camera_model {model} is not supported; calibrate as "
            f"{', '.join(sorted(PERSPECTIVE | FISHEYE - {''}))[2:]}"
        )
    return bool(values.get("is_fisheye")) or model in FISHEYE


def _number(values: dict[str, Any], key: str, where: str, default: float | None = None) -> float:
    """A finite number of the frame."""
    value = values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TriptychError(f"{where}: {key} is {value!r}; it must be a finite number")
    return float(value)


def _focal(
    values: dict[str, Any], where: str, width: float, height: float, *, fisheye: bool
) -> tuple[float, float]:
    lengths: list[float] = []
    for length, angle, side in (("fl_x", "camera_angle_x", width), ("fl_y", "camera_angle_y", height)):
        if length in values:
            lengths.append(_number(values, length, where))
        elif angle in values and not fisheye:
            lengths.append(0.5 * side / math.tan(0.5 * _number(values, angle, where)))
        elif lengths:
            lengths.append(lengths[0])  # square pixels
        elif fisheye:
            raise TriptychError(f"{where}: fl_x is not given; add the fisheye's focal length")
        else:
            raise TriptychError(f"{where}: neither fl_x nor camera_angle_x is given; add the focal length")
    if min(lengths) <= 0:
        raise TriptychError(f"{where}: the focal length is {min(lengths):g}; it must be above 0")
    return lengths[0], lengths[1]


def _distortion(values: dict[str, Any], where: str, *, fisheye: bool) -> list[float]:
    used, others = (("k1", "k2", "k3", "k4"), ("p1", "p2"))
    if not fisheye:
        used, others = ("k1", "k2", "p1", "p2"), ("k3", "k4")
    for key in others:
        if _number(values, key, where, 0.0) != 0:
            raise TriptychError(
                f"{where}: {key} is not part of {'fisheye' if fisheye else 'OPENCV'} lenses; "
                f"calibrate with {', '.join(used)} only"
            )
    return [_number(values, key, where, 0.0) for key in used]


def intrinsics(values: dict[str, Any], where: str, size: tuple[int, int], downscale: int) -> list[float]:
    """fx, fy, cx, cy, four distortion coefficients, width and height, at the size in use.

    Args:
        values: keys of the frame; `w` and `h` are the size that was calibrated.
        where: names the frame in messages.
        size: width and height of the image file.
        downscale: whole number by which the image's sides are divided.

    Raises:
        TriptychError: a number is missing or none, the image has another shape than the calibrated
            one, or the lens is of an unknown model.
    """
    fisheye = is_fisheye(values, where)
    width, height = (_number(values, key, where, side) for key, side in zip("wh", size, strict=True))
    if min(width, height) <= 0:
        raise TriptychError(f"{where}: w x h is {width:g}x{height:g}; both must be above 0")
    fx, fy = _focal(values, where, width, height, fisheye=fisheye)
    if abs(size[0] * height / (size[1] * width) - 1) > 0.02:
        raise TriptychError(
            f"{where}: the image is {size[0]}x{size[1]} but w x h says {width:g}x{height:g}; "
            "use images of the calibrated shape"
        )
    used = [max(1, round(side / downscale)) for side in size]
    sx, sy = used[0] / width, used[1] / height
    cx, cy = _number(values, "cx", where, width / 2), _number(values, "cy", where, height / 2)
    return [fx * sx, fy * sy, cx * sx, cy * sy, *_distortion(values, where, fisheye=fisheye), *used]


def pose(
    values: dict[str, Any], where: str, *, scale: float, offset: tuple[float, float, float]
) -> np.ndarray:
    """(3, 4) camera-to-cube matrix in OpenCV axes; the file's axes are OpenGL's.

    Raises:
        TriptychError: there is no such matrix, or it mirrors or flattens what it maps.
    """
    try:
        matrix = np.asarray(values.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise TriptychError(f"{where}: transform_matrix must be 4 rows of 4 finite numbers")
    # 1 for three right-handed axes at right angles, whatever their length
    volume = np.linalg.det(matrix[:3, :3]) / max(float(np.linalg.norm(matrix[:3, :3], axis=0).prod()), 1e-300)
    if not volume > LEAST_VOLUME:
        raise TriptychError(
            f"{where}: transform_matrix does not turn a camera but mirrors or flattens it; its first three "
            "columns must be right-handed axes at right angles (x right, y up, z backward)"
        )
    result = matrix[:3].copy()
    result[:, 1:3] *= -1
    result[:, 3] = result[:, 3] * scale + offset
    return result
