"""Lens and pose of one frame of a scene file, the lens at the size in use."""

import math

import numpy as np

from triptych.scenes.coordinates import Array
from triptych.scenes.scene_files import Frame
from triptych.workflow.errors import TriptychError

PERSPECTIVE = {"OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL"}
FISHEYE = {"OPENCV_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE"}
MIN_VOLUME = 0.9  # spanned by the three unit axes of a pose; rounding changes it from 1 by much less


def is_fisheye(frame: Frame) -> bool:
    """Whether a frame's lens is a fisheye (`is_fisheye`, or its `camera_model`).

    Raises:
        TriptychError: the lens model is unknown.
    """
    model = str(frame.values.get("camera_model", "")).upper()
    if model and model not in PERSPECTIVE | FISHEYE:
        raise TriptychError(
            f"{frame.where}: camera_model {model} is not supported; calibrate as "
            f"{', '.join(sorted(PERSPECTIVE | FISHEYE))}"
        )
    return bool(frame.values.get("is_fisheye")) or model in FISHEYE


def _number(frame: Frame, key: str, default: float | None = None) -> float:
    """A finite number of the frame."""
    value = frame.values.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TriptychError(f"{frame.where}: {key} is {value!r}; it must be a finite number")
    return float(value)


def _focal_lengths(frame: Frame, width: float, height: float, *, fisheye: bool) -> list[float]:
    lengths: list[float] = []
    for length, angle, side in (("fl_x", "camera_angle_x", width), ("fl_y", "camera_angle_y", height)):
        if length in frame.values:
            lengths.append(_number(frame, length))
        elif angle in frame.values and not fisheye:
            lengths.append(0.5 * side / math.tan(0.5 * _number(frame, angle)))
        elif lengths:
            lengths.append(lengths[0])  # square pixels
        elif fisheye:
            raise TriptychError(f"{frame.where}: fl_x is not given; add the fisheye's focal length")
        else:
            raise TriptychError(
                f"{frame.where}: neither fl_x nor camera_angle_x is given; add the focal length"
            )
    if min(lengths) <= 0:
        raise TriptychError(f"{frame.where}: the focal length is {min(lengths):g}; it must be above 0")
    return lengths


def _distortion(frame: Frame, *, fisheye: bool) -> list[float]:
    used, others = (("k1", "k2", "p1", "p2"), ("k3", "k4"))
    if fisheye:
        used, others = ("k1", "k2", "k3", "k4"), ("p1", "p2")
    for key in others:
        if _number(frame, key, 0.0) != 0:
            raise TriptychError(
                f"{frame.where}: {key} is not part of {'fisheye' if fisheye else 'OPENCV'} lenses; "
                f"calibrate with {', '.join(used)} only"
            )
    return [_number(frame, key, 0.0) for key in used]


def intrinsics(frame: Frame, size: tuple[int, int], downscale: int) -> list[float]:
    """fx, fy, cx, cy, four distortion coefficients, width and height, at the size in use.

    Args:
        frame: the frame; its `w` and `h`, if given, are the size of the calibration.
        size: width and height of the image file.
        downscale: whole number by which the image's sides are divided.

    Raises:
        TriptychError: a number is missing or not finite, the image has another shape than the calibrated
            one, or the lens model is unknown.
    """
    fisheye = is_fisheye(frame)
    width, height = (_number(frame, key, side) for key, side in zip("wh", size, strict=True))
    if min(width, height) <= 0:
        raise TriptychError(f"{frame.where}: w x h is {width:g}x{height:g}; both must be above 0")
    fx, fy = _focal_lengths(frame, width, height, fisheye=fisheye)
    if abs(size[0] * height / (size[1] * width) - 1) > 0.02:
        raise TriptychError(
            f"{frame.where}: the image is {size[0]}x{size[1]} but w x h says {width:g}x{height:g}; "
            "use images of the calibrated shape"
        )
    used = [max(1, round(side / downscale)) for side in size]
    sx, sy = used[0] / width, used[1] / height
    cx, cy = _number(frame, "cx", width / 2), _number(frame, "cy", height / 2)
    return [fx * sx, fy * sy, cx * sx, cy * sy, *_distortion(frame, fisheye=fisheye), *used]


def pose(frame: Frame) -> Array:
    """Camera-to-world (3, 4), OpenGL axes, as the file has it.

    Raises:
        TriptychError: there is no such matrix, or it mirrors or flattens what it maps.
    """
    try:
        matrix = np.asarray(frame.values.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise TriptychError(f"{frame.where}: transform_matrix must be 4 rows of 4 finite numbers")
    # 1 for three right-handed axes at right angles, whatever their length
    volume = np.linalg.det(matrix[:3, :3]) / max(float(np.linalg.norm(matrix[:3, :3], axis=0).prod()), 1e-300)
    if not volume > MIN_VOLUME:
        raise TriptychError(
            f"{frame.where}: transform_matrix does not turn a camera but mirrors or flattens it; its first "
            "three columns must be right-handed axes at right angles (x right, y up, z backward)"
        )
    return matrix[:3]
