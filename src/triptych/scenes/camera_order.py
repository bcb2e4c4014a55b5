"""The order in which a film passes the cameras of a scene: that of capture, or neighbour by neighbour."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

Array = NDArray[np.float64]
Order = NDArray[np.intp]

DISORDERED = 2.0  # a path so much longer than a short one through the same cameras jumps to and fro
MOST = 500  # cameras that are ordered; 500 take half a second


def turning_radius(positions: Array) -> float:
    """The distance that counts as much as a turn by one radian: the mean one of cameras to their centre."""
    return float(np.linalg.norm(positions - positions.mean(axis=0), axis=1).mean()) or 1.0


def camera_distances(positions: Array, rotations: Rotation) -> Array:
    """How far each camera is from each other (n, n): distance, and turn by the shortest way."""
    apart = np.linalg.norm(positions[:, None] - positions, axis=-1)
    quaternions = rotations.as_quat()
    angles = 2 * np.arccos(np.clip(np.abs(quaternions @ quaternions.T), 0, 1))
    return np.asarray(apart + turning_radius(positions) * angles)


def path_length(distances: Array, order: Order) -> float:
    """Length of the path through all points in this order."""
    return float(distances[order[:-1], order[1:]].sum())


def short_path(distances: Array) -> Order:
    """A short path through n points by their distances (n, n): from one to the nearest next, then improved.

    2-opt (Croes, "A method for solving traveling-salesman problems", 1958) reverses a part of the path as
    long as that makes it shorter. If its ends are nearer than two neighbours in it, it is cut between these
    and joined at the ends.
    """
    count = len(distances)
    # one more point, at no distance from the others, closes the path
    closed = np.pad(distances, (0, 1))
    tour, free = [count], set(range(count))
    while free:
        tour.append(min(free, key=lambda point: (closed[tour[-1], point], point)))
        free.remove(tour[-1])
    order = np.array(tour)
    tolerance = 1e-9 * path_length(distances, order[1:])
    while True:
        following = np.roll(order, -1)
        steps = closed[order, following]
        gain = steps[:, None] + steps - closed[np.ix_(order, order)] - closed[np.ix_(following, following)]
        gain = np.triu(gain, 2)
        first, last = np.unravel_index(gain.argmax(), gain.shape)
        if gain[first, last] > tolerance:
            order[first + 1 : last + 1] = order[first + 1 : last + 1][::-1]
            continue
        path = np.roll(order, -int(np.flatnonzero(order == count)[0]))[1:]
        within = distances[path[:-1], path[1:]]
        if count < 2 or within.max() - distances[path[0], path[-1]] <= tolerance:
            return path if path[0] <= path[-1] else path[::-1]
        order = np.append(np.roll(path, -1 - int(within.argmax())), count)


def film_order(positions: Array, rotations: Rotation) -> tuple[Order, bool]:
    """The order of cameras in a film, and whether it is that in which they are given.

    They keep it if it is a path, as that of capture is; else the film goes from neighbour to neighbour. Of
    many cameras, some are left out, evenly. Positions are (n, 3), rotations camera-to-world.
    """
    given = np.unique(np.linspace(0, len(positions) - 1, MOST).round().astype(np.intp))
    distances = camera_distances(positions[given], rotations[given])
    short = short_path(distances)
    if path_length(distances, np.arange(len(given))) > DISORDERED * path_length(distances, short):
        return given[short], False
    return given, True
