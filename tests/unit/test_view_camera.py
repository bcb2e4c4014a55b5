"""The viewer's camera has the rays of a pinhole camera in the same place."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from triptych.scenes.cameras import Cameras
from triptych.view.camera import ViewCamera

CPU = torch.device("cpu")
VIEW = ViewCamera(
    rotation=Rotation.from_euler("xyz", [0.3, -0.5, 0.2]).as_matrix(),
    position=np.array([0.1, 0.7, -0.2]),
    fov=0.9,
    canvas=(640, 480),
)


def test_rays_are_those_of_a_pinhole_camera() -> None:
    width, height = 32, 24
    focal = height / 2 / math.tan(VIEW.fov / 2)
    camera = Cameras(
        focal=torch.tensor([[focal, focal]]),
        centre=torch.tensor([[width / 2, height / 2]]),
        distortion=torch.zeros(1, 4),
        rotation=torch.from_numpy(VIEW.rotation).float()[None],
        position=torch.from_numpy(VIEW.position).float()[None],
        size=torch.tensor([[width, height]]),
    )
    expected = camera.image_rays(0)
    for ours, theirs in zip(VIEW.rays((width, height), (0, height), CPU), expected, strict=True):
        assert torch.allclose(ours, theirs, atol=1e-6)


def test_bands_of_rows_make_up_the_picture() -> None:
    whole = VIEW.rays((20, 15), (0, 15), CPU)
    bands = [VIEW.rays((20, 15), rows, CPU) for rows in ((0, 4), (4, 11), (11, 15))]
    for part in range(2):
        assert torch.equal(torch.cat([band[part] for band in bands]), whole[part])


@pytest.mark.parametrize("size", [(8, 6), (64, 48), (641, 480)])
def test_pictures_of_any_resolution_fill_the_same_view(size: tuple[int, int]) -> None:
    _, directions = VIEW.rays(size, (0, size[1]), CPU)
    local = directions.double().numpy() @ VIEW.rotation
    edge = np.abs(local[:, 1] / local[:, 2]).max() * size[1] / (size[1] - 1)  # from pixel centres to the rim
    assert edge == pytest.approx(math.tan(VIEW.fov / 2), rel=1e-4)
