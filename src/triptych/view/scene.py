"""A trained scene, as the workflow leaves it in results/scenes/NAME."""

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import load_field
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.normalisation import middle_of_view
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
from triptych.scenes.sparse_points import SparsePoints, read_points
from triptych.workflow.errors import TriptychError

SCENES = Path("results/scenes")
WEIGHTS = "radiance/field.safetensors"
FILES = ("transforms.json", WEIGHTS, "radiance/field.json")


@dataclass(frozen=True)
class TrainedScene:
    """A trained scene, ready to view."""

    name: str
    cameras: Cameras  # of the photographs
    images: list[Path]  # files of the photographs
    radiance: RadianceField
    world: World  # the coordinates of transforms.json
    cloud: SparsePoints | None

    @property
    def middle(self) -> NDArray[np.float64]:
        """The point (3,) of the unit cube that the cameras look at, as well as that can be said."""
        poses = np.tile(np.eye(4), (len(self.images), 1, 1))
        poses[:, :3, :3] = self.cameras.rotation.cpu().double().numpy()
        poses[:, :3, 3] = self.cameras.position.cpu().double().numpy()
        return middle_of_view(poses)


def study_of(folder: Path) -> Path:
    """The study that a scene's folder, results/scenes/NAME, belongs to; the current folder for any other."""
    return folder.parents[2] if folder.parts[-3:-1] == SCENES.parts else Path()


def read_trained_scene(folder: Path, *, device: torch.device) -> TrainedScene:
    """Read a trained scene from its folder, results/scenes/NAME.

    Raises `TriptychError` if the folder or a file in it is missing or malformed.
    """
    if not folder.is_dir():
        trained = sorted(path.parents[1].name for path in folder.parent.glob(f"*/{WEIGHTS}"))
        known = f"trained scenes there: {', '.join(trained)}" if trained else "no scene is trained there yet"
        if (SCENES / folder / WEIGHTS).is_file():
            known = f"there is {SCENES / folder}"
        raise TriptychError(f"{folder}: there is no such scene; {known}")
    for name in FILES:
        file = folder / name
        if not file.is_file():
            study = study_of(folder)
            target = os.path.relpath(folder / WEIGHTS, study)
            where = "" if study == Path() else f" --directory {study}"
            raise TriptychError(f"{file}: not found; make it with `snakemake --cores all {target}{where}`")
    scene, cloud = read_scene(folder / FILES[0]), folder / "sparse.ply"
    return TrainedScene(
        name=folder.resolve().name,
        cameras=scene.cameras,
        images=scene.files,
        radiance=load_field(folder / FILES[1], folder / FILES[2], device=device),
        world=read_scene_file(folder / FILES[0]).world,
        cloud=read_points(cloud) if cloud.is_file() else None,
    )
