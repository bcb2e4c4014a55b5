"""View directions as real spherical harmonics of degrees 0 to 3 (16 numbers)."""

import math

import torch
from torch import Tensor

WIDTH = 16


def spherical_harmonics(directions: Tensor) -> Tensor:
    """Real spherical harmonics (n, 16) of unit vectors (n, 3), with Condon-Shortley phase.

    Ordered (l, m) = (0,0), (1,-1), (1,0), …: sqrt(2) Im Y_l^|m| for m < 0, Y_l^0, sqrt(2) Re Y_l^m for m > 0.
    """
    x, y, z = directions.unbind(-1)
    xx, yy, zz = x * x, y * y, z * z
    root = [math.sqrt(number / math.pi) for number in (1, 3, 15, 5, 35 / 2, 105, 21 / 2, 7)]
    one, three, fifteen, five, thirty_five, hundred_five, twenty_one, seven = root
    return torch.stack(
        [
            torch.full_like(x, one / 2),
            -three / 2 * y,
            three / 2 * z,
            -three / 2 * x,
            fifteen / 2 * x * y,
            -fifteen / 2 * y * z,
            five / 4 * (3 * zz - 1),
            -fifteen / 2 * x * z,
            fifteen / 4 * (xx - yy),
            thirty_five / 4 * y * (yy - 3 * xx),
            hundred_five / 2 * x * y * z,
            twenty_one / 4 * y * (1 - 5 * zz),
            seven / 4 * z * (5 * zz - 3),
            twenty_one / 4 * x * (1 - 5 * zz),
            hundred_five / 4 * z * (xx - yy),
            thirty_five / 4 * x * (3 * yy - xx),
        ],
        dim=-1,
    )
