"""What a mask hides leaves no trace in a training."""

import json
from pathlib import Path

import numpy as np
import torch
from ball_training import RECIPE, changed, run
from PIL import Image
from sphere_scene import write_ball_scene
from test_scenes_masks import give_mask, save

from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.ray_sampler import read_images, read_masks
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


def turned_balls(folder: Path, *, masked: str) -> Path:
    """Photographs of a turning object: the wall behind it stands still before the camera; masks hide it."""
    path = write_ball_scene(folder)
    wall = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    content = json.loads(path.read_text())
    for number, frame in enumerate(content["frames"]):
        image = np.array(Image.open(folder / frame["file_path"]))
        ball = image[..., 3] > 127
        Image.fromarray(np.where(ball[..., None], image[..., :3], wall)).save(folder / frame["file_path"])
        save(ball, folder / f"masks/{number:03d}.png")
        frame |= {"mask_path": f"masks/{number:03d}.png", "masked": masked}
    path.write_text(json.dumps(content))
    return path


def test_space_that_masks_call_empty_is_empty(tmp_path: Path) -> None:
    occupied = {}
    for masked in ("ignored", "empty"):
        scene = read_scene(turned_balls(tmp_path / masked, masked=masked))
        trained = run(scene, changed(RECIPE, steps=150), tmp_path / masked)
        occupied[masked] = trained.metrics["occupied"]
    assert occupied["empty"] < 0.5 * occupied["ignored"]
    assert trained.metrics["heldout_psnr"] > 20


def test_a_cut_out_image_is_transparent_where_its_mask_is_black(tmp_path: Path) -> None:
    scene = read_scene(turned_balls(tmp_path, masked="empty"), downscale=2)
    (image,), (mask,) = read_images(scene, [0]), read_masks(scene, [0])
    assert mask is None
    assert image.shape == (20, 20, 4)
    assert image[0, 0, 3] == 0
    assert image[10, 10, 3] == 255
    assert len(image[..., 3].unique()) > 2  # pixels on the edge are partly hidden
