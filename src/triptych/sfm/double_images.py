"""Whether a model shows something twice: views that must have points in common, and have none.

Where sides look alike, or too few images connect them, COLMAP may put one group of cameras beside a wrong
copy of what the others see. The reprojection errors are small all the same.
"""

from typing import NamedTuple

import numpy as np
import pycolmap
from numpy.typing import NDArray

MIN_POINTS = 50  # of a view that is judged
NEAR_ANGLE = np.cos(np.radians(20))  # between the lines of sight of both cameras to a point
NEAR_DISTANCE = 1.5  # ratio of the distances to a point
IN_SIGHT = 0.8  # of a view's points must be in sight of the other camera
# Of the points of the smaller view. In good models of a photographed, a filmed and a rendered object, all
# such pairs had at least 0.4 in common.
IN_COMMON = 0.1
MIN_PAIRS, MIN_SHARE = 3, 0.02  # of the judged pairs: single ones may be hidden by something in between

Array = NDArray[np.float64]


class DoubleImages(NamedTuple):
    """Pairs of views that show the same points, as far as their poses say."""

    pairs: int
    apart: list[tuple[str, str]]  # names of those that have almost no points in common

    @property
    def found(self) -> bool:
        """Whether there are too many of them for a good model."""
        return len(self.apart) >= max(MIN_PAIRS, MIN_SHARE * self.pairs)

    @property
    def advice(self) -> str:
        """One sentence on what is wrong and what to do."""
        first, second = self.apart[0]
        return (
            f"{len(self.apart)} of {self.pairs} pairs of images that should show the same points have almost "
            f"none in common (first: {first} and {second}), so something is in the model twice: add images "
            "between its sides, or leave one group of images out (frames.exclude)"
        )


class _View(NamedTuple):
    name: str
    numbers: NDArray[np.int64]  # of the points, ascending
    points: Array  # (n, 3)
    centre: Array
    projection: Array  # (3, 4), world to pixels, without distortion
    size: tuple[int, int]


def _view(model: pycolmap.Reconstruction, number: int) -> _View:
    image = model.image(number)
    camera = model.camera(image.camera_id)
    numbers = np.unique([point.point3D_id for point in image.points2D if point.has_point3D()]).astype(int)
    return _View(
        name=image.name,
        numbers=numbers,
        points=np.array([model.point3D(int(point)).xyz for point in numbers]).reshape(-1, 3),
        centre=image.projection_center(),
        projection=camera.calibration_matrix() @ image.cam_from_world().matrix(),
        size=(camera.width, camera.height),
    )


def _in_sight(view: _View, other: _View) -> bool:
    """Whether the other camera must see a view's points, from nearly the same side and distance."""
    before, after = view.points - view.centre, view.points - other.centre
    near, far = np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1)
    alike = (before * after).sum(1) > NEAR_ANGLE * near * far
    alike &= (far < NEAR_DISTANCE * near) & (near < NEAR_DISTANCE * far)
    if alike.mean() < IN_SIGHT:
        return False
    x, y, depth = (np.column_stack([view.points, np.ones(len(view.points))]) @ other.projection.T).T
    width, height = other.size
    alike &= (depth > 0) & (x > 0) & (x < width * depth) & (y > 0) & (y < height * depth)
    return bool(alike.mean() >= IN_SIGHT)


def find_double_images(model: pycolmap.Reconstruction) -> DoubleImages:
    """Compare all pairs of views of a model."""
    views = [
        view
        for number in sorted(model.reg_image_ids())
        if len((view := _view(model, number)).numbers) >= MIN_POINTS
    ]
    pairs, apart = 0, []
    for position, one in enumerate(views):
        for other in views[:position]:
            if _in_sight(one, other) or _in_sight(other, one):
                pairs += 1
                common = len(np.intersect1d(one.numbers, other.numbers, assume_unique=True))
                if common < IN_COMMON * min(len(one.numbers), len(other.numbers)):
                    apart.append((other.name, one.name))
    return DoubleImages(pairs, apart)
