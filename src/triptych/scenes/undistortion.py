"""Lenses that the radiance field's cameras cannot hold: their images are undistorted, by COLMAP."""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image

from triptych.scenes.calibration import FISHEYE, check_shape, lens_number
from triptych.scenes.scene_files import Frame
from triptych.workflow.errors import TriptychError

# COLMAP's lens models besides those that `Cameras` has, and panoramas, which have no pinhole.
OTHER_MODELS = {
    *("FULL_OPENCV", "FOV", "THIN_PRISM_FISHEYE", "RAD_TAN_THIN_PRISM_FISHEYE"),
    *("SIMPLE_DIVISION", "DIVISION", "EUCM"),
}
KEYS = {"fx": "fl_x", "fy": "fl_y", "f": "fl_x", "k": "k1"}  # scene files' names of COLMAP's parameters
LENS = ("camera_model", "is_fisheye", "camera_angle_x", "camera_angle_y", "x_fov", "y_fov")


def lens_values(camera: pycolmap.Camera) -> dict[str, Any]:
    """A COLMAP camera under the names of scene files."""
    names = [KEYS.get(name, name) for name in camera.params_info.split(", ")]
    params = dict(zip(names, map(float, camera.params), strict=True))
    return {"camera_model": camera.model_name, "w": camera.width, "h": camera.height, **params}


def _model(values: Mapping[str, Any]) -> str:
    return str(values.get("camera_model") or "OPENCV").upper()


def needs_undistortion(frame: Frame) -> bool:
    """Whether a frame's lens has another model, or the third radial coefficient of Brown's."""
    model = _model(frame.values)
    if model in OTHER_MODELS:
        return True
    if model in FISHEYE or frame.values.get("is_fisheye"):
        return False
    return lens_number(frame, "k3", 0.0) != 0 and lens_number(frame, "k4", 0.0) == 0


def colmap_camera(frame: Frame, size: tuple[int, int]) -> pycolmap.Camera:
    """The camera of a frame whose lens has another model, for images of `size` (width, height).
    Raises `TriptychError` if a number is missing or not finite, or the image has another shape.
    """
    model = _model(frame.values)
    model = model if model in OTHER_MODELS else "FULL_OPENCV"
    width, height = (round(lens_number(frame, key, side)) for key, side in zip("wh", size, strict=True))
    camera = pycolmap.Camera.create_from_model_name(1, model, 1.0, max(width, 1), max(height, 1))
    defaults = {"cx": width / 2, "cy": height / 2}
    if "fl_x" in frame.values:
        defaults["fl_y"] = lens_number(frame, "fl_x")
    camera.params = [
        lens_number(frame, key, defaults.get(key, None if key == "fl_x" else 0.0))
        for key in (KEYS.get(name, name) for name in camera.params_info.split(", "))
    ]
    check_shape(frame, size, width, height)
    camera.rescale(*size)
    return camera


def _warp(pixels: NDArray[np.uint8], camera: pycolmap.Camera) -> tuple[NDArray[np.uint8], pycolmap.Camera]:
    """One image, (h, w) or (h, w, 3) uint8, and its pinhole camera."""
    bitmap = pycolmap.Bitmap.from_array(np.ascontiguousarray(pixels))
    warped, pinhole = pycolmap.undistort_image(pycolmap.UndistortCameraOptions(), bitmap, camera)
    return warped.to_array().reshape(pinhole.height, pinhole.width, *pixels.shape[2:]), pinhole


def undistort(
    frame: Frame, image: Image.Image, used: NDArray[np.bool_] | None
) -> tuple[Frame, Image.Image, NDArray[np.bool_] | None]:
    """An image (RGB or RGBA) as a pinhole camera would have taken it, without empty borders.

    Returns the frame with the pinhole's values, the image, and the mask `used` (h, w) of pixels that count.
    Raises `TriptychError` if the lens sees too wide for a pinhole, or its values are impossible.
    """
    camera = colmap_camera(frame, image.size)
    pixels = np.asarray(image)
    try:
        warped, pinhole = _warp(pixels[..., :3], camera)
        if pixels.shape[2] == 4:
            warped = np.dstack([warped, _warp(pixels[..., 3], camera)[0]])
        if used is not None:  # a pixel with a hidden part is hidden
            used = _warp(np.where(used, 255, 0).astype(np.uint8), camera)[0] == 255
    except (ValueError, RuntimeError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TriptychError(
            f"{frame.where}: its {camera.model_name} lens cannot be undistorted ({reason}); undistort the "
            "images with the program that calibrated them"
        ) from error
    if not all(map(math.isfinite, pinhole.params)):
        raise TriptychError(
            f"{frame.where}: its {camera.model_name} lens cannot be undistorted; calibrate again"
        )
    dropped = {*LENS, *(KEYS.get(name, name) for name in camera.params_info.split(", "))}
    kept = {key: value for key, value in frame.values.items() if key not in dropped}
    return replace(frame, values={**kept, **lens_values(pinhole)}), Image.fromarray(warped), used
