"""A smooth way through the cameras of a scene."""

import numpy as np
import torch
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from triptych.radiance.cameras import Cameras

KEYFRAMES_PER_SECOND = 2.0  # fewer than the cameras: the hand that held them trembled


def camera_path(cameras: Cameras, *, frames: int, seconds: float, width: int) -> Cameras:
    """Cameras of a film that passes by the given ones in order, at an even pace.

    A cubic spline runs through the positions of evenly chosen cameras and spherical linear
    interpolation through their rotations. The pace is even in distance travelled, where a turn of one
    radian counts as much as the mean distance between a camera and their centre.

    Args:
        cameras: at least two, in the order of capture.
        frames: number of cameras to make.
        seconds: length of the film, which decides how many of the cameras are passed exactly.
        width: of the pictures in pixels; the height keeps the first camera's shape. Both are even.

    Returns:
        Pinhole cameras without distortion, with the mean field of view of the given ones.
    """
    positions = cameras.position.cpu().double().numpy()
    rotations = Rotation.from_matrix(cameras.rotation.cpu().double().numpy())
    count = min(len(cameras), max(4, round(KEYFRAMES_PER_SECOND * seconds) + 1))
    chosen = np.unique(np.linspace(0, len(cameras) - 1, count).round().astype(int))
    positions, rotations = positions[chosen], rotations[chosen]

    radius = np.linalg.norm(positions - positions.mean(axis=0), axis=1).mean()
    turns = (rotations[:-1].inv() * rotations[1:]).magnitude()
    legs = np.linalg.norm(np.diff(positions, axis=0), axis=1) + radius * turns
    way = np.concatenate([[0.0], np.cumsum(np.maximum(legs, 1e-9))])
    at = np.linspace(0, way[-1], frames)
    position, rotation = CubicSpline(way, positions)(at), Slerp(way, rotations)(at).as_matrix()

    first_width, first_height = cameras.size[0].tolist()
    size = torch.tensor([width // 2 * 2, max(2, round(width * first_height / first_width / 2) * 2)])
    field_of_view = (cameras.focal / cameras.size).mean(dim=0).cpu()
    # square pixels: the height was rounded, so both focal lengths follow the width
    focal = field_of_view * size[0] * torch.tensor([1.0, first_height / first_width])
    return Cameras(
        focal=focal.float().repeat(frames, 1),
        centre=(size / 2).float().repeat(frames, 1),
        distortion=torch.zeros(frames, 4),
        rotation=torch.from_numpy(rotation).float(),
        position=torch.from_numpy(position).float(),
        size=size.repeat(frames, 1),
    )
