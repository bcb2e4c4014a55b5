"""Normals of a rendering whose surface is known in closed form."""

import numpy as np
import pytest
import torch
from known_surface import MIDDLE, RADIUS, look_from
from torch import Tensor

from triptych.radiance.evaluate import normal_colours
from triptych.radiance.normals import image_normals, normals_between
from triptych.radiance.render import RenderedImage
from triptych.scenes.cameras import Cameras


def ball_picture(side: int) -> tuple[RenderedImage, Cameras, Tensor]:
    """The exact depth of the ball from a slanted camera, and its normals in closed form."""
    cameras = look_from([1.2, -0.3, 0.9], side)
    origins, directions = cameras.image_rays(0)
    along = ((MIDDLE - origins) * directions).sum(dim=-1)
    inside = RADIUS**2 - ((MIDDLE - origins).square().sum(dim=-1) - along**2)
    depth = torch.where(inside > 0, along - inside.clamp(min=0).sqrt(), 3.0)
    normals = (origins + depth[:, None] * directions - MIDDLE) / RADIUS
    shape = (side, side)
    picture = RenderedImage(torch.zeros(*shape, 3), (inside > 0).float().view(shape), depth.view(shape))
    return picture, cameras, normals.view(*shape, 3)


@pytest.mark.parametrize("side", [96, 600])  # neighbours are 1 and 2 pixels away
def test_the_normals_of_a_ball_are_its_radii(side: int) -> None:
    picture, cameras, expected = ball_picture(side)
    found = image_normals(picture, cameras, 0)
    _, directions = cameras.image_rays(0)
    slant = -(expected * directions.view_as(expected)).sum(dim=-1)
    solid = picture.opacity > 0.5
    cosine = (found * expected).sum(dim=-1)
    assert cosine[solid & (slant > 0.3)].min() > 0.999
    # the last pixels before the silhouette have neighbours on one side only, but no worse
    assert cosine[solid].min() > 0.9
    assert torch.allclose(found.norm(dim=-1), torch.ones(side, side), atol=1e-5)


def test_normals_are_coloured_by_their_direction() -> None:
    picture, cameras, expected = ball_picture(96)
    colours = normal_colours(picture, cameras, 0)
    assert colours.dtype == np.uint8
    assert (colours[0, 0] == 255).all()
    np.testing.assert_allclose(colours[48, 48], 127.5 * (expected[48, 48] + 1), atol=1.5)


def test_a_step_in_depth_does_not_tilt_the_normals_beside_it() -> None:
    columns = torch.tensor([-1.0, 0.0, 1.0])
    centre, right, left = (torch.tensor([[x, 0.0, 2.0]]) for x in (columns[1], columns[2], columns[0]))
    behind = right + torch.tensor([0.0, 0.0, 50.0])
    below, above = (torch.tensor([[0.0, y, 2.0]]) for y in (1.0, -1.0))
    flat = torch.tensor([[0.0, 0.0, -1.0]])
    assert torch.allclose(normals_between(centre, right, left, below, above), flat)
    assert (normals_between(centre, behind, left, below, above) * flat).sum() > 0.999
    # on the border of the image, a point stands in for the neighbour that is not there
    assert torch.allclose(normals_between(centre, centre, left, below, above), flat)
