"""The numbers of one frame of a scene file: its lens, at the size in use, and its pose."""

import math
from typing import Any

import numpy as np

from triptych.run.errors import TriptychError

PERSPECTIVE = {"", "OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL"}
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


def _focal(values: dict[str, Any], where: str, width: float, *, fisheye: bool) -> tuple[float, float]:
    if "fl_x" in values:
        fx = float(values["fl_x"])
    elif "camera_angle_x" in values and not fisheye:
        fx = 0.5 * width / math.tan(0.5 * float(values["camera_angle_x"]))
    elif fisheye:
        raise TriptychError(f"{where}: fl_x is not given; add the fisheye's focal length")
    else:
        raise TriptychError(f"{where}: neither fl_x nor camera_angle_x is given; add the focal length")
    return fx, float(values.get("fl_y", fx))


def _distortion(values: dict[str, Any], where: str, *, fisheye: bool) -> list[float]:
    used, others = (("k1", "k2", "k3", "k4"), ("p1", "p2"))
    if not fisheye:
        used, others = ("k1", "k2", "p1", "p2"), ("k3", "k4")
    for key in others:
        if float(values.get(key, 0)) != 0:
            raise TriptychError(
                f"{where}: {key} is not part of {'fisheye' if fisheye else 'OPENCV'} lenses; "
                f"calibrate with {', '.join(used)} only"
            )
    return [float(values.get(key, 0)) for key in used]


def intrinsics(values: dict[str, Any], where: str, size: tuple[int, int], downscale: int) -> list[float]:
    """fx, fy, cx, cy, four distortion coefficients, width and height, at the size in use.

    Args:
        values: keys of the frame; `w` and `h` are the size that was calibrated.
        where: names the frame in messages.
        size: width and height of the image file.
        downscale: whole number by which the image's sides are divided.

    Raises:
        TriptychError: the focal length is missing, the image has another shape than the calibrated
            one, or the lens is of an unknown model.
    """
    fisheye = is_fisheye(values, where)
    width, height = float(values.get("w", size[0])), float(values.get("h", size[1]))
    fx, fy = _focal(values, where, width, fisheye=fisheye)
    if abs(size[0] * height / (size[1] * width) - 1) > 0.02:
        raise TriptychError(
            f"{where}: the image is {size[0]}x{size[1]} but w x h says {width:g}x{height:g}; "
            "use images of the calibrated shape"
        )
    used = [max(1, round(side / downscale)) for side in size]
    sx, sy = used[0] / width, used[1] / height
    cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    return [fx * sx, fy * sy, cx * sx, cy * sy, *_distortion(values, where, fisheye=fisheye), *used]


def pose(
    values: dict[str, Any], where: str, *, scale: float, offset: tuple[float, float, float]
) -> np.ndarray:
    """(3, 4) camera-to-cube matrix in OpenCV axes; the file's axes are OpenGL's.

    Raises:
        TriptychError: there is no such matrix.
    """
    try:
        matrix = np.asarray(values.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise TriptychError(f"{where}: transform_matrix must be 4 rows of 4 finite numbers")
    result = matrix[:3].copy()
    result[:, 1:3] *= -1
    result[:, 3] = result[:, 3] * scale + offset
    return result
