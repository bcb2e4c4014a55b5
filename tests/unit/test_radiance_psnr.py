"""One definition of PSNR: the mean over the held-out views, in the curve of a training and in views.json."""

from pathlib import Path

import numpy as np
import pytest
import torch
from ball_field import ball_field
from PIL import Image
from sphere_scene import write_ball_scene

from triptych.radiance.evaluate import HeldoutPixels, evaluate_views
from triptych.radiance.metrics import psnr
from triptych.scenes.scene import read_scene


def test_the_curve_estimates_the_mean_of_the_views(tmp_path: Path) -> None:
    path = write_ball_scene(tmp_path / "scene", images=8, side=40)
    file = tmp_path / "scene/frames/000.png"
    image = np.array(Image.open(file))
    image[..., :3] = 255 - image[..., :3]  # a view that is much worse than the others
    image[..., 3] = 255
    Image.fromarray(image).save(file)
    scene, radiance, held_out = read_scene(path), ball_field(), [0, 2, 5]
    (tmp_path / "views").mkdir()
    measured = evaluate_views(scene, radiance, held_out, tmp_path / "views", folder_name="views")
    pixels = HeldoutPixels(scene, held_out, generator=torch.Generator().manual_seed(0))
    assert pixels.psnr(radiance) == pytest.approx(measured["psnr"], abs=0.3)
    each = [view["psnr"] for view in measured["views"]]
    assert measured["psnr"] == pytest.approx(np.mean(each))
    pooled = psnr(float(np.mean([10 ** (-value / 10) for value in each])))
    assert abs(pooled - measured["psnr"]) > 1  # else this test says nothing
