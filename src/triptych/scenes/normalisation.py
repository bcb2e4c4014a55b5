"""Where a scene's cameras look, and the change of coordinates that puts them upright, centred and to size."""

from typing import NamedTuple

import numpy as np

from triptych.scenes.coordinates import OFFSET, SCALE, Array, World

CAMERA_DISTANCE = 4.0  # mean distance of the cameras from the middle of a normalised scene


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
    """The point (3,) whose squared distances to all view axes of the poses (n, 4, 4) have the smallest sum.

    With P = I - d d^T projecting off an axis through o along d, the sum of |P (x - o)|^2 is least where (sum
    P) x = sum P o. If the axes leave a direction undetermined (all parallel), the result is the solution
    nearest to the mean camera.
    """
    centres, axes = poses[:, :3, 3], poses[:, :3, 2]
    mean = centres.mean(axis=0)
    off_axis = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    pull = np.einsum("nij,nj->i", off_axis, centres - mean)
    return np.asarray(mean + np.linalg.pinv(off_axis.sum(axis=0), rcond=1e-9, hermitian=True) @ pull)


def normalisation(poses: Array) -> Similarity:
    """The similarity that puts a scene upright, in the middle, and to size.

    Under it the mean up of the cameras, (n, 4, 4) poses with y up, is +z, `middle_of_view` is the origin, and
    the cameras' mean distance from it is `CAMERA_DISTANCE`.
    """
    rotation = rotation_between(poses[:, :3, 1].mean(axis=0), np.array([0.0, 0.0, 1.0]))
    middle = middle_of_view(poses)
    scale = CAMERA_DISTANCE / float(np.linalg.norm(poses[:, :3, 3] - middle, axis=1).mean())
    return Similarity(scale, rotation, -scale * rotation @ middle)


def fitting_world(poses: Array) -> World:
    """The conversion to the unit cube that centres and sizes the scene as `normalisation` does; no turn."""
    middle = middle_of_view(poses)
    distance = float(np.linalg.norm(poses[:, :3, 3] - middle, axis=1).mean())
    scale = SCALE * CAMERA_DISTANCE / max(distance, 1e-12)
    return World(scale, OFFSET - scale * middle)
