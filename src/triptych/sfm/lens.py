"""The freedom of a lens in bundle adjustment, by the number of views that determine it.

A few views fit a wrong lens as well as the right one: with four photographs, the principal point moved by
6 % of the width, and the two focal lengths came apart by 2 %.
"""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pycolmap

log = logging.getLogger("triptych")

OPENCV = pycolmap.CameraModelId.OPENCV  # fx, fy, cx, cy, k1, k2, p1, p2
SIMPLE = pycolmap.CameraModelId.SIMPLE_RADIAL  # f, cx, cy, k
ENOUGH_VIEWS = 12  # for OPENCV, and for the principal point
# Reduction of the reprojection error by which another principal point is believed. Noise alone reduces it by
# 0.02 % in the embedded film, whose principal point is the centre; in the fox scene, it falls by 0.4 %.
MIN_GAIN = 0.001
FAR = 0.05  # of the image's width or height: a principal point is nowhere further from the centre


def views_of_cameras(model: pycolmap.Reconstruction) -> Counter[int]:
    """The number of registered images of each camera, by its id."""
    return Counter(model.image(number).camera_id for number in model.reg_image_ids())


def simplify_lenses(database: str | Path, *, everywhere: bool) -> None:
    """Give cameras with few images, or all, one focal length and one coefficient of distortion."""
    with pycolmap.Database.open(database) as opened:
        images = Counter(image.camera_id for image in opened.read_all_images())
        for camera in opened.read_all_cameras():
            if camera.model == OPENCV and (everywhere or images[camera.camera_id] < ENOUGH_VIEWS):
                centre = camera.principal_point_x, camera.principal_point_y
                focal = camera.mean_focal_length()
                camera.model, camera.params = SIMPLE, [focal, *centre, 0.0]
                opened.update_camera(camera)


def _complete_lenses(model: pycolmap.Reconstruction) -> None:
    """Make simple lenses with enough views OPENCV; what they project stays the same."""
    views = views_of_cameras(model)
    for number, camera in model.cameras.items():
        if camera.model == SIMPLE and views[number] >= ENOUGH_VIEWS:
            focal, x, y, distortion = camera.params
            camera.model, camera.params = OPENCV, [focal, focal, x, y, distortion, 0.0, 0.0, 0.0]


def _adjust(model: pycolmap.Reconstruction, free: set[int]) -> None:
    """Bundle adjustment in place; the principal points of the cameras `free` are adjusted, and no other lens.

    If `free` is empty, all lenses are adjusted, without their principal points.
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.refine_principal_point = bool(free)
    options.ceres.solver_options.num_threads = 1
    config = pycolmap.BundleAdjustmentConfig()
    for number in model.reg_image_ids():
        config.add_image(number)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    for number in set(model.cameras) - free if free else ():
        config.set_constant_cam_intrinsics(number)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()
    model.update_point_3d_errors()


def _off_centre(camera: pycolmap.Camera) -> float:
    """Distance of the principal point from the centre, as a share of the width or height."""
    offset = camera.principal_point_x / camera.width, camera.principal_point_y / camera.height
    return float(np.abs(np.array(offset) - 0.5).max())


def refine(model: pycolmap.Reconstruction) -> tuple[pycolmap.Reconstruction, dict[int, str]]:
    """Final bundle adjustment: with the whole lens and the principal point, as far as views determine them.

    While the model grows, the principal point is fixed at the image's centre: the first few views do not
    determine it. It stays there if all views together do not, either: in the embedded film, it moves by a
    pixel, and turns all cameras by 0.15 degrees, with hardly a smaller reprojection error.

    Returns:
        The model to use, `model` or another, and for each camera what happened to its principal point.
    """
    _complete_lenses(model)
    _adjust(model, set())
    views = views_of_cameras(model)
    free = {number for number, count in views.items() if count >= ENOUGH_VIEWS}
    notes = {
        number: "adjusted" if number in free else f"centre: {views[number]} views" for number in model.cameras
    }
    while free:
        adjusted = pycolmap.Reconstruction(model)
        _adjust(adjusted, free)
        far = {number: _off_centre(adjusted.camera(number)) for number in free}
        far = {number: offset for number, offset in far.items() if offset > FAR}
        for number, offset in far.items():
            notes[number] = f"centre: adjustment moves it by {offset:.0%} of the image"
            log.warning("camera %d: principal point kept at the centre; %s", number, notes[number])
        if not far:
            before, after = (one.compute_mean_reprojection_error() for one in (model, adjusted))
            if after < (1 - MIN_GAIN) * before:
                return adjusted, notes
            return model, notes | dict.fromkeys(free, "centre: another place explains the images no better")
        free -= far.keys()
    return model, notes
