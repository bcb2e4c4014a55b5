"""What a mask hides leaves no trace in a training."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sphere_scene import write_ball_scene
from test_radiance_training import RECIPE, changed, run
from test_scenes_masks import give_mask, save

from triptych.radiance.evaluate import evaluate_views
from triptych.scenes.scene import read_scene


def masked_balls(folder: Path, *, spoilt: bool) -> Path:
    """A scene whose images may be painted over in one corner, which is masked away either way."""
    path = write_ball_scene(folder, images=16)
    corner = np.ones((40, 40), bool)
    corner[12:28, :24] = False
    for number in range(16):
        save(corner, folder / f"masks/{number:03d}.png")
        give_mask(path, number, f"masks/{number:03d}.png")
        if spoilt:
            image = np.array(Image.open(folder / f"frames/{number:03d}.png"))
            image[~corner] = (255, 0, 255, 255)
            Image.fromarray(image).save(folder / f"frames/{number:03d}.png")
    return path


def test_garbage_behind_a_mask_is_neither_learnt_nor_measured(tmp_path: Path) -> None:
    results = []
    for name in ("clean", "spoilt"):
        scene = read_scene(masked_balls(tmp_path / name, spoilt=name == "spoilt"))
        trained = run(scene, changed(RECIPE, steps=30), tmp_path / name)
        (tmp_path / name / "views").mkdir()
        views = evaluate_views(
            scene, trained.radiance, [0, 8], tmp_path / name / "views", folder_name="views"
        )
        results.append((trained.radiance.field.state_dict(), trained.metrics["heldout_psnr"], views))
    (clean, *clean_numbers), (spoilt, *spoilt_numbers) = results
    assert all(torch.equal(clean[key], spoilt[key]) for key in clean)
    assert clean_numbers == spoilt_numbers
