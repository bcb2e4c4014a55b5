"""A smooth camera path, past the cameras of a scene or through recorded keyframes."""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.spatial.transform import Rotation, Slerp

from triptych.scenes.camera_order import Order, film_order, turning_radius
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.keyframes import CameraPath

Array = NDArray[np.float64]

KEYFRAMES_PER_SECOND = 2.0  # a selection of the scene's cameras, which smooths a trembling hand
FEWEST_KEYFRAMES = 4
TURN_PER_SECOND = 60.0  # degrees, past cameras that were not taken in the order of a path


def _spline(positions: Array, rotations: Rotation, values: Array, frames: int) -> tuple[Array, Array, Array]:
    """Positions (frames, 3), rotations (frames, 3, 3) and values (frames,) at an even pace.

    A cubic spline runs through the positions, spherical linear interpolation through the rotations,
    linear interpolation through the values (n,). The pace is even in distance travelled, where a turn
    of one radian counts as much as the mean distance between a position and their centre.
    """
    radius = turning_radius(positions)
    angles = (rotations[:-1].inv() * rotations[1:]).magnitude()
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1) + radius * angles
    travelled = np.concatenate([[0.0], np.cumsum(np.maximum(steps, 1e-6 * radius))])
    at = np.linspace(0, travelled[-1], frames)
    rotation = Slerp(travelled, rotations)(at).as_matrix()
    return CubicSpline(travelled, positions)(at), rotation, np.interp(at, travelled, values)


def _pinhole(position: Array, rotation: Array, focal: Array, size: tuple[int, int]) -> Cameras:
    """Cameras without distortion, looking through the middle of pictures of `size`."""
    count, sides = len(position), torch.tensor(size)
    return Cameras(
        focal=torch.from_numpy(focal).float(),
        centre=(sides / 2).float().repeat(count, 1),
        distortion=torch.zeros(count, 4),
        rotation=torch.from_numpy(rotation).float(),
        position=torch.from_numpy(position).float(),
        size=sides.repeat(count, 1),
    )


def _even_size(width: int, aspect: float) -> tuple[int, int]:
    """The nearest size that films can have: both sides even."""
    return width // 2 * 2, max(2, round(width / aspect / 2) * 2)


def _keyframes(positions: Array, rotations: Rotation, seconds: float) -> Order:
    """Those of n cameras through which a film of this length passes, in order.

    If the order of capture is no path, the film passes so few of them that it is not dizzying.
    """
    order, captured = film_order(positions, rotations)
    most = max(FEWEST_KEYFRAMES, round(KEYFRAMES_PER_SECOND * seconds) + 1)
    for count in range(most, FEWEST_KEYFRAMES - 1, -1):
        chosen = order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))]
        turn = np.degrees((rotations[chosen[:-1]].inv() * rotations[chosen[1:]]).magnitude().sum())
        if captured or turn <= TURN_PER_SECOND * seconds:
            break
    return chosen


def camera_path(cameras: Cameras, *, frames: int, seconds: float, width: int) -> Cameras:
    """Cameras of a film that passes by the given ones, in their order or from neighbour to neighbour.

    They are pinholes with the mean field of view of those given, at least two, in the order of capture. The
    film's seconds decide by how many of them the path passes. The height keeps the first camera's shape; both
    sides of the pictures are made even.
    """
    positions = cameras.position.cpu().double().numpy()
    rotations = Rotation.from_matrix(cameras.rotation.cpu().double().numpy())
    chosen = _keyframes(positions, rotations, seconds)
    position, rotation, _ = _spline(positions[chosen], rotations[chosen], np.zeros(len(chosen)), frames)
    first_width, first_height = cameras.size[0].tolist()
    size = _even_size(width, first_width / first_height)
    field_of_view = (cameras.focal / cameras.size).mean(dim=0).cpu().double().numpy()
    # square pixels: the height was rounded, so both focal lengths follow the width
    focal = field_of_view * size[0] * np.array([1.0, first_height / first_width])
    return _pinhole(position, rotation, np.tile(focal, (frames, 1)), size)


def keyframe_path(path: CameraPath, world: World, *, frames: int, width: int) -> Cameras:
    """Cameras of a film through recorded keyframes, in the coordinates `world`, with pictures `width` pixels
    wide.

    They are pinholes without distortion; the field of view is interpolated between the keyframes. Both sides
    of the pictures are made even.
    """
    poses = [world.camera(keyframe.pose) for keyframe in path.keyframes]
    fov = np.radians([keyframe.fov for keyframe in path.keyframes])
    position, rotation, fov = _spline(
        np.stack([position for _, position in poses]),
        Rotation.from_matrix(np.stack([rotation for rotation, _ in poses])),
        fov,
        frames,
    )
    size = _even_size(width, path.aspect)
    focal = size[1] / 2 / np.tan(fov / 2)
    return _pinhole(position, rotation, np.stack([focal, focal], axis=1), size)
