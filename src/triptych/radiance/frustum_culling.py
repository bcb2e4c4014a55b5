"""Which spheres reach into a camera's frustum: a conservative test."""

import torch
from torch import Tensor

from triptych.scenes.cameras import Cameras
from triptych.scenes.lenses import fisheye_undistort, undistort

BORDER_SAMPLES = 32  # on each side of the image


def sphere_in_view(cameras: Cameras, camera: int, centres: Tensor, radius: Tensor) -> Tensor:
    """Whether spheres with centres (m, 3) in the unit cube reach into one camera's frustum: (m,) bool.

    Never False if the image shows a part of the sphere, occlusion aside; it may be True for a sphere just
    outside, because the frustum has the bounding rectangle (for a fisheye, circle) of the undistorted border.
    """
    local = (centres - cameras.position[camera]) @ cameras.rotation[camera]
    border, coefficients = _border(cameras, camera), cameras.distortion[camera]
    if cameras.fisheye is not None and cameras.fisheye[camera]:
        # the corners, farthest from the axis, are among the samples
        widest = torch.acos(fisheye_undistort(border, coefficients)[:, 2].clamp(-1, 1)).amax()
        angle = torch.atan2(local[:, :2].norm(dim=-1), local[:, 2])
        distance = local.norm(dim=-1)
        angular_radius = torch.asin((radius / distance).clamp(max=1))
        return (angle < widest + angular_radius) | (distance <= radius)
    ideal = undistort(border, coefficients)
    low, high = ideal.amin(dim=0), ideal.amax(dim=0)
    depth, reach = local[:, 2:], radius[:, None]
    # signed distances to the four sides of the pyramid
    outside_low = (low * depth - local[:, :2]) / (1 + low * low).sqrt()
    outside_high = (local[:, :2] - high * depth) / (1 + high * high).sqrt()
    return ((outside_low < reach) & (outside_high < reach)).all(dim=-1)


def cameras_missing_box(cameras: Cameras, *, aabb_scale: int) -> list[int]:
    """Indices of the cameras that see nothing of the bounding sphere of a box `aabb_scale` wide."""
    centre = cameras.position.new_full((1, 3), 0.5)
    radius = cameras.position.new_full((1,), aabb_scale * 3**0.5 / 2)
    return [n for n in range(len(cameras)) if not sphere_in_view(cameras, n, centre, radius).any()]


def _border(cameras: Cameras, camera: int) -> Tensor:
    """(128, 2) normalised image coordinates of the border, corners included, still distorted."""
    line = torch.linspace(0, 1, BORDER_SAMPLES, device=cameras.focal.device, dtype=cameras.focal.dtype)
    zero, one = torch.zeros_like(line), torch.ones_like(line)
    sides = [(line, zero), (line, one), (zero, line), (one, line)]
    border = torch.cat([torch.stack(side, dim=-1) for side in sides]) * cameras.size[camera]
    return (border - cameras.centre[camera]) / cameras.focal[camera]
