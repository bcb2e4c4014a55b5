"""What the browser gets: pixels by mode, and depths that occlude overlays correctly."""

import math

import numpy as np
import pytest
import torch

from triptych.radiance.composite import RenderedRays
from triptych.radiance.render import RenderedImage
from triptych.view.camera import (
    DEPTH_QUANTUM,
    FAR,
    MAX_DEPTH_PIXELS,
    MODES,
    ViewCamera,
    picture_pixels,
    planar_depth,
)

VIEW = ViewCamera(rotation=np.eye(3), position=np.zeros(3), fov=1.2, canvas=(300, 200))
SCALE = 0.33


def picture_of_a_wall(size: tuple[int, int], depth: float) -> RenderedImage:
    """All is at the same depth along the optical axis, so farther towards the corners."""
    _, directions = VIEW.rays(size, (0, size[1]), torch.device("cpu"))
    shape = (size[1], size[0])
    return RenderedImage(torch.rand(*shape, 3), torch.ones(shape), (depth / directions[:, 2]).view(shape))


def test_a_wall_is_everywhere_as_deep_as_it_stands() -> None:
    depth = planar_depth(picture_of_a_wall((30, 20), 0.66), VIEW, SCALE)
    assert depth.shape == (20, 30)
    assert np.allclose(depth, 0.66 / SCALE, atol=DEPTH_QUANTUM)


def test_empty_space_is_far_away() -> None:
    wall = picture_of_a_wall((30, 20), 0.66)
    depth = planar_depth(RenderedImage(wall.colour, wall.opacity * 0.4, wall.depth), VIEW, SCALE)
    assert (depth == np.float32(FAR)).all()


def test_depths_of_large_pictures_are_subsampled() -> None:
    size = (1200, 800)
    depth = planar_depth(picture_of_a_wall(size, 0.66), VIEW, SCALE)
    assert depth.size <= MAX_DEPTH_PIXELS
    assert depth.shape[1] / depth.shape[0] == pytest.approx(1.5, rel=0.02)
    assert np.allclose(depth, 0.66 / SCALE, atol=DEPTH_QUANTUM)


def test_bands_are_put_together_over_the_background() -> None:
    bands = [
        RenderedRays(torch.full((6, 3), 0.25), torch.full((6,), 0.5), torch.full((6,), 1.0)),
        RenderedRays(torch.zeros(3, 3), torch.zeros(3), torch.zeros(3)),
    ]
    picture = RenderedImage.from_rays(RenderedRays.concatenate(bands), (3, 3), torch.tensor([1.0, 0.0, 0.0]))
    assert torch.allclose(picture.colour[:2], torch.tensor([0.75, 0.25, 0.25]).expand(2, 3, 3))
    assert torch.equal(picture.colour[2], torch.tensor([1.0, 0.0, 0.0]).expand(3, 3))
    assert torch.allclose(picture.depth[:2], torch.tensor(2.0))


def test_each_mode_shows_its_values() -> None:
    wall = picture_of_a_wall((30, 20), 0.66)
    faint = RenderedImage(wall.colour, torch.linspace(0, 1, 600).view(20, 30), wall.depth)
    shown = {mode: picture_pixels(faint, mode) for mode in MODES}
    assert all(pixels.shape == (20, 30, 3) and pixels.dtype == np.uint8 for pixels in shown.values())
    assert shown["colour"][5, 5].tolist() == [
        math.floor(value * 255 + 0.5) for value in wall.colour[5, 5].tolist()
    ]
    assert (np.diff(shown["opacity"][..., 0].ravel().astype(int)) >= 0).all()
    assert (shown["depth"][0] == 255).all()  # too faint to have a depth
    assert (shown["depth"][-1] != 255).any()
