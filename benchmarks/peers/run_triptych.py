"""Train triptych's radiance field on a prepared scene, and render its held-out views."""

import json
import shutil

from contestant import arguments, contest

from triptych.config.reconstruction import Radiance
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.train import train
from triptych.scenes.scene import read_scene
from triptych.training.checkpoint import Checkpoints


def main() -> None:
    """Train by the recipe beside the scene, and render."""
    scene_folder, output, seconds = arguments()
    options = json.loads((scene_folder / "recipe.json").read_text())
    recipe = Radiance(**options | {"minutes": seconds / 60, "steps": None, "downscale": 1})
    scene = read_scene(scene_folder / "transforms.json")
    heldout = scene.split(recipe.holdout)[1]
    trained = []

    def learn() -> dict[str, float]:
        result = train(
            scene,
            recipe,
            checkpoints=Checkpoints(output / "checkpoints", "none", every=float("inf")),
            events=output / "tensorboard",
            history=output / "history.csv",
        )
        trained.append(result.radiance)
        numbers = result.metrics
        return {
            "steps": numbers["steps"],
            "seconds": numbers["training_seconds"],
            "rays_per_step": numbers["rays_per_step"],
        }

    def render() -> None:
        views = output / "views"
        views.mkdir()
        for view in evaluate_views(scene, trained[0], heldout, views, folder_name="views")["views"]:
            shutil.move(output / view["render"], output / f"{view['name']}.png")

    contest(output, learn, render)


if __name__ == "__main__":
    main()
