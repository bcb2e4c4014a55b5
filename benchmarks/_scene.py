"""The scene that benchmarks train on, and one training of it in a process of its own."""

import os
import sys
from pathlib import Path

import torch

from triptych.config.reconstruction import Radiance
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.snapshot import save_field
from triptych.radiance.trainer import Trainer
from triptych.scenes.scene import Scene, read_scene
from triptych.training.memory import keep_large_allocations
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import write_json

HOLDOUT = 8
# the project's own defaults, but ended by time, and without evaluations on the way
RECIPE = Radiance(device="cpu", downscale=2, holdout=HOLDOUT, steps=None, evaluations=0)


def transforms() -> Path:
    """The scene's transforms.json: that of the environment variable SCENE, else the fox beside the project.
    Raises `TriptychError` if there is none.
    """
    default = Path(__file__).parents[2] / "shared/data/fox/transforms.json"
    path = Path(os.environ.get("SCENE", default)).expanduser()
    if not path.is_file():
        raise TriptychError(f"{path}: no scene there; set SCENE to the transforms.json of a scene")
    return path


def load(downscale: int = RECIPE.downscale) -> Scene:
    """The scene at this size."""
    return read_scene(transforms(), downscale=downscale)


def train_for(seconds: float, folder: Path, *, recipe: Radiance = RECIPE) -> Trainer:
    """Train for so long, evaluate all held-out views, and leave field, pictures and numbers in `folder`."""
    keep_large_allocations()
    scene = load(recipe.downscale)
    trainer = Trainer(scene, recipe.model_copy(update={"minutes": seconds / 60}))
    trainer.warm_up()
    while trainer.progress() < 1:
        trainer.advance()
    views = folder / "views"
    views.mkdir(parents=True, exist_ok=True)
    radiance = trainer.averaged_field()
    result = evaluate_views(scene, radiance, scene.split(HOLDOUT)[1], views, folder_name="views")
    split = {"downscale": recipe.downscale, "holdout": HOLDOUT}
    save_field(folder / "field.safetensors", folder / "field.json", radiance, **split)
    numbers = {
        "psnr": result["psnr"],
        "ssim": result["ssim"],
        "steps": trainer.step,
        "seconds": trainer.seconds,
    }
    write_json(folder / "result.json", numbers)
    return trainer


if __name__ == "__main__":
    torch.manual_seed(0)
    train_for(float(sys.argv[1]), Path(sys.argv[2]))
