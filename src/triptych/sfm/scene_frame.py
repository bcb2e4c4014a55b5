"""Conversion from COLMAP's world to instant-ngp's: up direction, origin and unit of length.

COLMAP's camera looks along +z with y down and its world has no meaning of its own. In a
transforms.json the camera looks along -z with y up (OpenGL), +z is up, the scene's middle is
the origin, and the cameras are 4 away from it on average.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pycolmap
from numpy.typing import NDArray

from triptych.scenes.manifest import sharpness_of_files
from triptych.workflow.files import atomic_path, write_json

Array = NDArray[np.float64]

CAMERA_DISTANCE = 4.0
FLIP_YZ = np.diag([1.0, -1.0, -1.0, 1.0])
OPENCV_PARAMETERS = ("fl_x", "fl_y", "cx", "cy", "k1", "k2", "p1", "p2")  # in COLMAP's order


class Similarity(NamedTuple):
    """y = scale * rotation @ x + translation."""

    scale: float
    rotation: Array
    translation: Array

    def apply(self, poses: Array) -> Array:
        """Camera-to-world poses (n, 4, 4) in the new world."""
        result = poses.copy()
        result[:, :3, :3] = self.rotation @ poses[:, :3, :3]
        result[:, :3, 3] = self.scale * poses[:, :3, 3] @ self.rotation.T + self.translation
        return result


def rotation_between(a: Array, b: Array) -> Array:
    """The smallest rotation (3, 3) that turns direction `a` into direction `b` (Rodrigues)."""
    a, b = a / np.linalg.norm(a), b / np.linalg.norm(b)
    cross, cosine = np.cross(a, b), float(a @ b)
    if cosine < -1 + 1e-12:  # opposite: half a turn about anything perpendicular
        axis = np.linalg.svd(a[None])[2][-1]
        return np.asarray(2 * np.outer(axis, axis) - np.eye(3))
    x, y, z = cross
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))


def middle_of_view(poses: Array) -> Array:
    """The point (3,) whose squared distances to all view axes have the smallest sum.

    With P = I - d d^T projecting off an axis through o along d, the sum of |P (x - o)|^2 is
    least where (sum P) x = sum P o. If the axes leave a direction undetermined (all parallel), the
    result is the solution nearest to the mean camera.

    Args:
        poses: (n, 4, 4) camera-to-world.
    """
    centres, axes = poses[:, :3, 3], poses[:, :3, 2]
    mean = centres.mean(axis=0)
    off_axis = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    pull = np.einsum("nij,nj->i", off_axis, centres - mean)
    return np.asarray(mean + np.linalg.pinv(off_axis.sum(axis=0), rcond=1e-9, hermitian=True) @ pull)


def normalisation(poses: Array) -> Similarity:
    """The similarity that puts a scene upright, in the middle, and to size.

    Args:
        poses: (n, 4, 4) camera-to-world, y up.

    Returns:
        The change of world under which the cameras' mean up is +z, `middle_of_view` is the
        origin, and the cameras' mean distance from it is `CAMERA_DISTANCE`.
    """
    rotation = rotation_between(poses[:, :3, 1].mean(axis=0), np.array([0.0, 0.0, 1.0]))
    middle = middle_of_view(poses)
    scale = CAMERA_DISTANCE / float(np.linalg.norm(poses[:, :3, 3] - middle, axis=1).mean())
    return Similarity(scale, rotation, -scale * rotation @ middle)


def opencv_intrinsics(camera: pycolmap.Camera) -> dict[str, float]:
    """Intrinsics of a COLMAP OPENCV camera under instant-ngp's names, in pixels and radians."""
    values = dict(zip(OPENCV_PARAMETERS, map(float, camera.params), strict=True))
    return {
        "camera_angle_x": float(2 * np.arctan(camera.width / (2 * values["fl_x"]))),
        "camera_angle_y": float(2 * np.arctan(camera.height / (2 * values["fl_y"]))),
        **values,
        "w": camera.width,
        "h": camera.height,
    }


def write_transforms(
    model_folder: str | Path,
    manifest: str | Path,
    target: str | Path,
    cloud: str | Path,
    *,
    aabb_scale: int,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a COLMAP model as transforms.json, and its points as PLY in the same coordinates.

    Intrinsics are at the top level if all frames share a camera, else in each frame.

    Args:
        model_folder: COLMAP binary model with OPENCV cameras.
        manifest: frames.csv, from which the sharpness is copied.
        target: transforms.json, in the folder that also holds `frames/`.
        cloud: the .ply to write.
        aabb_scale: side of the box that the radiance field covers, in instant-ngp's units: a power of 2.
        provenance: added to `target`.
    """
    model = pycolmap.Reconstruction(model_folder)
    registered = sorted((model.image(number) for number in model.reg_image_ids()), key=lambda one: one.name)
    poses = np.tile(np.eye(4), (len(registered), 1, 1))
    poses[:, :3] = [image.cam_from_world().inverse().matrix() for image in registered]
    poses = poses @ FLIP_YZ
    change = normalisation(poses)
    sharpness = sharpness_of_files(manifest)
    lenses = [opencv_intrinsics(model.camera(image.camera_id)) for image in registered]
    shared = len({image.camera_id for image in registered}) == 1
    frames = [
        {
            "file_path": f"frames/{image.name}",
            "sharpness": sharpness[image.name],
            **({} if shared else lens),
            "transform_matrix": pose.tolist(),
        }
        for image, lens, pose in zip(registered, lenses, change.apply(poses), strict=True)
    ]
    common = lenses[0] if shared else {}
    model.transform(pycolmap.Sim3d(change.scale, pycolmap.Rotation3d(change.rotation), change.translation))
    with atomic_path(cloud) as temporary:
        model.export_PLY(temporary)
    write_json(target, {**common, "aabb_scale": aabb_scale, "frames": frames, "provenance": provenance})
