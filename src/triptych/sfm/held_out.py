"""Held-out images that take no part in structure from motion: their poses are found afterwards.

A pose is estimated from matches between the image and the points of the finished model, which stays as it is.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pycolmap

from triptych.sfm.database import colmap_seed
from triptych.sfm.models import add_pose

MIN_INLIERS = 30  # as COLMAP has it
MAX_ERROR = 12.0  # in pixels, as COLMAP has it, while the pose is estimated


def held_out_names(names: Sequence[str], holdout: int) -> list[str]:
    """Every `holdout`-th name, the first included: the images that the field's training holds out."""
    return list(names[::holdout])


def _matches_with_points(
    model: pycolmap.Reconstruction, database: pycolmap.Database, image: pycolmap.Image
) -> tuple[list[int], list[int]]:
    """Positions of the image's features, and the points of the model that they match."""
    features, points = [], []
    for number in sorted(model.reg_image_ids()):
        if not database.exists_two_view_geometry(image.image_id, number):
            continue
        registered = model.image(number)
        matches = database.read_two_view_geometry(image.image_id, number).inlier_matches
        for feature, other in np.asarray(matches).reshape(-1, 2).tolist():
            if registered.point2D(other).has_point3D():
                features.append(feature)
                points.append(registered.point2D(other).point3D_id)
    pairs = sorted(set(zip(features, points, strict=True)))
    return [feature for feature, _ in pairs], [point for _, point in pairs]


def register_held_out(
    model: pycolmap.Reconstruction, database: str | Path, names: Sequence[str], *, seed: int
) -> list[str]:
    """Add the poses of held-out images to a model, whose poses, points and lenses do not change.

    The model is that of the other images; the database has all. Returns the names of those that got a pose.
    """
    estimation = pycolmap.AbsolutePoseEstimationOptions()
    estimation.ransac.max_error = MAX_ERROR
    estimation.ransac.random_seed = colmap_seed("held-out", seed)
    found: dict[str, tuple[pycolmap.Image, pycolmap.Rigid3d]] = {}
    with pycolmap.Database.open(database) as opened:
        for name in names:
            image = opened.read_image_with_name(name)
            if image is None or not model.exists_camera(image.camera_id):
                continue  # no image with a pose has this lens
            features, points = _matches_with_points(model, opened, image)
            if len(points) < MIN_INLIERS:
                continue
            positions = opened.read_keypoints(image.image_id)[features, :2].astype(np.float64)
            answer = pycolmap.estimate_and_refine_absolute_pose(
                positions,
                np.array([model.point3D(point).xyz for point in points]),
                model.camera(image.camera_id),
                estimation_options=estimation,
            )
            if answer is not None and answer["num_inliers"] >= MIN_INLIERS:
                found[name] = (image, answer["cam_from_world"])
    for image, pose in found.values():
        add_pose(model, image, model.camera(image.camera_id), pose)
    return list(found)
