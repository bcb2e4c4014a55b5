"""A trained field with its scene, as the jobs that render it read them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import Scene, read_scene
from triptych.workflow.files import read_json


class Trained(NamedTuple):
    """The field on `device`, its scene at the size of the training, and the indices of the scene's views."""

    radiance: RadianceField
    scene: Scene
    training: list[int]
    held_out: list[int]
    device: torch.device


def load_trained(
    transforms: str | Path, weights: str | Path, field: str | Path, recipe: Mapping[str, Any]
) -> Trained:
    """Read what `train_radiance` wrote; `recipe` has `device` and `precision`.

    Raises `TriptychError` if a file is missing, damaged, or of another shape than it says.
    """
    device = choose_radiance_device(recipe["device"])
    radiance = load_field(Path(weights), Path(field), device=device, precision=recipe["precision"])
    split = read_json(field)
    scene = read_scene(transforms, downscale=split["downscale"])
    return Trained(radiance, scene, *scene.split(split["holdout"]), device)
