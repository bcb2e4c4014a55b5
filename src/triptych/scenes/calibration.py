"""Lens and pose of one frame of a scene file, the lens at the size in use."""

import math

import numpy as np

from triptych.scenes.coordinates import Array, World
from triptych.scenes.listed_files import printable
from triptych.scenes.scene_files import Frame
from triptych.scenes.scene_json import number
from triptych.workflow.errors import TriptychError

PERSPECTIVE = {"OPENCV", "PERSPECTIVE", "PINHOLE", "SIMPLE_PINHOLE", "RADIAL", "SIMPLE_RADIAL"}
FISHEYE = {"OPENCV_FISHEYE", "FISHEYE", "SIMPLE_FISHEYE", "RADIAL_FISHEYE", "SIMPLE_RADIAL_FISHEYE"}
COEFFICIENTS = {False: ("k1", "k2", "p1", "p2"), True: ("k1", "k2", "k3", "k4")}  # by whether it is a fisheye
# instant-ngp's keys for lenses that are no photograph's
PANORAMAS = ("latlong", "equirectangular", "ftheta_p0")
MIN_VOLUME = 0.999  # spanned by the three unit axes of a pose; rounding changes it from 1 by much less
MAX_STRETCH = 1.02  # ratio of the lengths of a pose's axes that counts as rounding
MAX_DISTANCE = 1e9  # of a camera from the unit cube, in its sides; float32 overflows beyond


def is_fisheye(frame: Frame) -> bool:
    """Whether a frame's lens is a fisheye. Raises `TriptychError` if the lens model is unknown."""
    if panorama := next((key for key in PANORAMAS if frame.values.get(key)), None):
        raise TriptychError(f"{frame.where}: lenses by {panorama} are not supported; calibrate as OPENCV")
    model = printable(str(frame.values.get("camera_model") or "")).upper()
    if model and model not in PERSPECTIVE | FISHEYE:
        raise TriptychError(
            f"{frame.where}: camera_model {model} is not supported; calibrate as "
            f"{', '.join(sorted(PERSPECTIVE | FISHEYE))}"
        )
    flag = frame.values.get("is_fisheye", False)
    if not isinstance(flag, bool | int):
        shown = printable(repr(flag))
        raise TriptychError(f"{frame.where}: is_fisheye is {shown}; it must be true or false, without quotes")
    return bool(flag) or model in FISHEYE


def lens_number(frame: Frame, key: str, default: float | None = None) -> float:
    """A finite number of the frame. Raises `TriptychError` if it is none."""
    value = frame.values.get(key, default)
    try:
        return number(value)
    except ValueError as error:
        shown = printable(repr(value))
        raise TriptychError(f"{frame.where}: {key} is {shown}; it must be a finite number") from error


def _focal_length(frame: Frame, axis: str, side: float, *, fisheye: bool) -> float | None:
    if f"fl_{axis}" in frame.values:
        return lens_number(frame, f"fl_{axis}")
    for key, unit in ((f"{axis}_fov", math.pi / 180), (f"camera_angle_{axis}", 1.0)):
        if key in frame.values and not fisheye:
            return 0.5 * side / math.tan(0.5 * unit * lens_number(frame, key) or math.inf)
    return None


def _focal_lengths(frame: Frame, width: float, height: float, *, fisheye: bool) -> list[float]:
    x = _focal_length(frame, "x", width, fisheye=fisheye)
    y = _focal_length(frame, "y", height, fisheye=fisheye)
    if x is None:
        missing = "fl_x is not given" if fisheye else "neither fl_x nor camera_angle_x is given"
        raise TriptychError(f"{frame.where}: {missing}; add the focal length")
    lengths = [x, x if y is None else y]  # square pixels if only one is given
    if not min(lengths) > 0:
        raise TriptychError(f"{frame.where}: the focal length is {min(lengths):g}; it must be above 0")
    return lengths


def _distortion(frame: Frame, *, fisheye: bool) -> list[float]:
    used, others = COEFFICIENTS[fisheye], set(COEFFICIENTS[not fisheye]) - set(COEFFICIENTS[fisheye])
    for key in sorted(others):
        if lens_number(frame, key, 0.0) != 0:
            raise TriptychError(
                f"{frame.where}: {key} is not part of {'fisheye' if fisheye else 'OPENCV'} lenses; "
                f"calibrate with {', '.join(used)} only"
            )
    return [lens_number(frame, key, 0.0) for key in used]


def same_shape(size: tuple[int, int], width: float, height: float) -> bool:
    """Whether an image has the shape of the calibrated one, up to the rounding of small images."""
    return abs(size[0] * height - size[1] * width) <= 0.02 * size[1] * width


def check_shape(frame: Frame, size: tuple[int, int], width: float, height: float) -> None:
    """Raise `TriptychError` unless an image has the shape of the calibrated one."""
    if not same_shape(size, width, height):
        raise TriptychError(
            f"{frame.where}: the image is {size[0]}x{size[1]} but w x h says {width:g}x{height:g}; "
            "use images of the calibrated shape"
        )


def intrinsics(frame: Frame, size: tuple[int, int], downscale: int) -> list[float]:
    """fx, fy, cx, cy, four distortion coefficients, width and height, at the size in use.

    The frame's `w` and `h`, if given, are the size of the calibration. Raises `TriptychError` if a number is
    missing or not finite, the image has another shape than the calibrated one, or the lens is unknown.
    """
    fisheye = is_fisheye(frame)
    width, height = (lens_number(frame, key, side) for key, side in zip("wh", size, strict=True))
    if min(width, height) <= 0:
        raise TriptychError(f"{frame.where}: w x h is {width:g}x{height:g}; both must be above 0")
    fx, fy = _focal_lengths(frame, width, height, fisheye=fisheye)
    check_shape(frame, size, width, height)
    used = [max(1, round(side / downscale)) for side in size]
    sx, sy = used[0] / width, used[1] / height
    cx, cy = lens_number(frame, "cx", width / 2), lens_number(frame, "cy", height / 2)
    return [fx * sx, fy * sy, cx * sx, cy * sy, *_distortion(frame, fisheye=fisheye), *used]


def pose(frame: Frame) -> Array:
    """Camera-to-world (3, 4), OpenGL axes, as the file has it, with axes of unit length.
    Raises `TriptychError` if there is no such matrix, or it mirrors, flattens or stretches what it maps.
    """
    try:
        matrix = np.asarray(frame.values.get("transform_matrix"), dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        matrix = np.empty(0)
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise TriptychError(f"{frame.where}: transform_matrix must be 4 rows of 4 finite numbers")
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    # 1 for three right-handed axes at right angles, whatever their length
    volume = np.linalg.det(matrix[:3, :3] / np.maximum(lengths, 1e-300))
    if not volume > MIN_VOLUME:
        raise TriptychError(
            f"{frame.where}: transform_matrix does not turn a camera but mirrors or flattens it; its first "
            "three columns must be right-handed axes at right angles (x right, y up, z backward)"
        )
    if not np.allclose(matrix[3:], [0, 0, 0, 1], atol=1e-3):
        raise TriptychError(
            f"{frame.where}: the last row of transform_matrix is not 0, 0, 0, 1; write it row by row"
        )
    if lengths.max() > MAX_STRETCH * lengths.min():
        shown = ", ".join(f"{length:.3g}" for length in lengths)
        raise TriptychError(
            f"{frame.where}: transform_matrix stretches the camera: its first three columns have the lengths "
            f"{shown}; write them with length 1"
        )
    if np.abs(lengths - 1).max() > 1e-4:  # a scale, which means nothing for directions
        matrix = np.hstack([matrix[:3, :3] / lengths, matrix[:3, 3:]])
    return matrix[:3]


def unit_cube_pose(frame: Frame, world: World) -> tuple[Array, Array]:
    """Rotation (3, 3), OpenCV axes, and position (3,) in the unit cube; a `TriptychError` if far away."""
    rotation, position = world.camera(pose(frame))
    if np.abs(position).max() > MAX_DISTANCE:
        raise TriptychError(
            f"{frame.where}: the camera is {np.abs(position).max():.1e} unit cubes away; correct its "
            "transform_matrix, or the file's scale and offset"
        )
    return rotation, position
