"""Lens models, perspective and fisheye: distortion, and its inverse by Newton's method."""

import math

import torch
from torch import Tensor

NEWTON_STEPS = 8
MIN_SLOPE = 0.1  # least slope of a lens's polynomial in Newton's steps: it is lower only outside the image


def distort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Apply the OPENCV model (Brown 1966: two radial, two tangential terms).

    Points (n, 2) are ideal image coordinates x/z, y/z; coefficients, (n, 4) or (4,), are k1, k2, p1, p2. The
    result (n, 2) has neither focal length nor principal point.
    """
    x, y = points.unbind(-1)
    k1, k2, p1, p2 = coefficients.unbind(-1)
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * k2)
    return torch.stack(
        [
            x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
            y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y),
        ],
        dim=-1,
    )


def max_radius(coefficients: Tensor) -> Tensor:
    """The radius, (n,) or (), up to which the radial part of `distort` is one-to-one; infinite if it is
    everywhere.

    There r (1 + k1 r² + k2 r⁴) stops growing with r: farther points would be folded back into the image.
    """
    a, b = 5 * coefficients[..., 1], 3 * coefficients[..., 0]
    # the smallest positive root u = r² of a u² + b u + 1, written so that a may be 0
    discriminant = b * b - 4 * a
    below = torch.where(discriminant >= 0, discriminant.clamp(min=0).sqrt() - b, 0)
    return torch.where(below > 0, 2 / below, torch.inf).sqrt()


def undistort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Invert `distort`, by Newton's method: there is no closed form.

    Converges wherever the distortion is one-to-one, as it is inside a calibrated image. Points beyond
    what the lens can show move to `max_radius`.
    """
    k1, k2, p1, p2 = coefficients.unbind(-1)
    limit = max_radius(coefficients)
    tolerance = torch.finfo(points.dtype).eps ** 0.5  # the error left after a step is about its square
    ideal = points
    for _ in range(NEWTON_STEPS):
        x, y = ideal.unbind(-1)
        r2 = x * x + y * y
        radial, slope = 1 + r2 * (k1 + r2 * k2), k1 + 2 * k2 * r2
        jxx = radial + 2 * x * x * slope + 2 * p1 * y + 6 * p2 * x
        jyy = radial + 2 * y * y * slope + 2 * p2 * x + 6 * p1 * y
        jxy = 2 * x * y * slope + 2 * p1 * x + 2 * p2 * y  # the Jacobian is symmetric
        ex, ey = (distort(ideal, coefficients) - points).unbind(-1)
        determinant = (jxx * jyy - jxy * jxy).clamp(min=MIN_SLOPE**2)
        step = torch.stack([jyy * ex - jxy * ey, jxx * ey - jxy * ex], dim=-1) / determinant[..., None]
        ideal = ideal - step
        ideal = ideal * (limit / ideal.norm(dim=-1)).clamp(max=1)[..., None]
        if step.numel() == 0 or step.abs().amax() < tolerance:
            break
    return ideal


def fisheye_distort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Apply the OPENCV_FISHEYE model (Kannala and Brandt 2006, its radial part): (n, 3) in camera axes to (n,
    2).

    A point at angle t from the optical axis, which may exceed 90 degrees, appears t (1 + k1 t² + k2 t⁴ + k3
    t⁶ + k4 t⁸) from the centre. Coefficients are (n, 4) or (4,).
    """
    k1, k2, k3, k4 = coefficients.unbind(-1)
    across, z = points[..., :2], points[..., 2]
    radius = across.norm(dim=-1)
    angle = torch.atan2(radius, z)
    t2 = angle * angle
    distorted = angle * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4))))
    # on the axis the ratio tends to 1/z
    return across * torch.where(radius > 0, distorted / radius, 1 / z)[..., None]


def fisheye_undistort(points: Tensor, coefficients: Tensor) -> Tensor:
    """Invert `fisheye_distort` by Newton's method in the angle: (n, 2) to unit directions (n, 3).

    Converges wherever the angle grows with the distance from the centre, as it does inside a
    calibrated image; beyond (the dark corners of a circular image) directions are finite.
    """
    k1, k2, k3, k4 = coefficients.unbind(-1)
    radius = points.norm(dim=-1)
    angle = radius.clamp(max=math.pi)
    for _ in range(NEWTON_STEPS):
        t2 = angle * angle
        error = angle * (1 + t2 * (k1 + t2 * (k2 + t2 * (k3 + t2 * k4)))) - radius
        slope = 1 + t2 * (3 * k1 + t2 * (5 * k2 + t2 * (7 * k3 + t2 * 9 * k4)))
        angle = (angle - error / slope.clamp(min=MIN_SLOPE)).clamp(0, math.pi)
    stretch = torch.where(radius > 0, angle.sin() / radius, 1.0)[..., None]
    return torch.cat([points * stretch, angle.cos()[..., None]], dim=-1)
