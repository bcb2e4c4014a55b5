"""Surface normals of a rendering, from its depth."""

import torch
from torch import Tensor
from torch.nn import functional

from triptych.radiance.render import RenderedImage
from triptych.scenes.cameras import Cameras

NEIGHBOUR_DISTANCE = 1 / 300  # of an image's longer side


def neighbour_distance(width: int, height: int) -> int:
    """Distance to a point's neighbours in pixels: expected depth is rough from one pixel to the next."""
    return max(1, round(NEIGHBOUR_DISTANCE * max(width, height)))


def normals_between(centre: Tensor, right: Tensor, left: Tensor, below: Tensor, above: Tensor) -> Tensor:
    """Unit normals (…, 3), facing the camera, of a surface at points (…, 3) with neighbours in an image.

    The tangents along rows and columns are means of the differences to both sides, weighted by the inverse of
    their squared length: central differences on smooth surfaces; at the edge of an object only the side that
    lies on it counts.
    """

    def tangent(one: Tensor, other: Tensor) -> Tensor:
        # beyond the image border the neighbour is the point itself, and its weight is 0
        lengths = [side.square().sum(dim=-1, keepdim=True) for side in (one, other)]
        weights = [torch.where(length > 0, 1 / length, torch.zeros_like(length)) for length in lengths]
        return (weights[0] * one + weights[1] * other) / (weights[0] + weights[1]).clamp(min=1e-30)

    along_row = tangent(right - centre, centre - left)
    along_column = tangent(below - centre, centre - above)
    # rows run right and columns down: this product comes out of the surface, towards the camera
    return functional.normalize(torch.linalg.cross(along_column, along_row), dim=-1, eps=1e-30)


def image_normals(picture: RenderedImage, cameras: Cameras, index: int) -> Tensor:
    """Normal map (h, w, 3) of a rendering: unit vectors that face the camera, in the axes of the world.

    Pixels are placed at their expected depth and compared with their neighbours; where they are not opaque,
    normals are meaningless. The gradient of density would also give normals, but at single points, which is
    noisier and costs a backward pass.
    """
    origins, directions = cameras.image_rays(index)
    height, width = picture.depth.shape
    points = (origins + picture.depth.reshape(-1, 1) * directions).view(height, width, 3)
    reach = neighbour_distance(width, height)
    column, row = torch.arange(width, device=points.device), torch.arange(height, device=points.device)
    return normals_between(
        points,
        right=points[:, (column + reach).clamp(max=width - 1)],
        left=points[:, (column - reach).clamp(min=0)],
        below=points[(row + reach).clamp(max=height - 1)],
        above=points[(row - reach).clamp(min=0)],
    )
