"""A trained scene, as the workflow leaves it in results/scenes/NAME."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from numpy.typing import NDArray

from triptych.radiance.render import RadianceField
from triptych.radiance.snapshot import load_field
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.scene import read_scene
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.errors import TriptychError

SCENES = Path("results/scenes")
WEIGHTS = "radiance/field.safetensors"
FILES = ("transforms.json", WEIGHTS, "radiance/field.json")


@dataclass(frozen=True)
class SparsePoints:
    """Points (n, 3) in world coordinates and their colours (n, 3) uint8."""

    points: NDArray[np.float64]
    colours: NDArray[np.uint8]


@dataclass(frozen=True)
class TrainedScene:
    """A trained scene, ready to view.

    Attributes:
        name: name of the scene.
        cameras: cameras of the photographs.
        images: files of the photographs.
        radiance: the trained field.
        world: the coordinates of transforms.json.
        cloud: the sparse points, if there are any.
    """

    name: str
    cameras: Cameras
    images: list[Path]
    radiance: RadianceField
    world: World
    cloud: SparsePoints | None


def read_cloud(file: Path) -> SparsePoints:
    """Read a coloured point cloud.

    Raises:
        TriptychError: the file is not one.
    """
    try:
        loaded: Any = trimesh.load(file, process=False)
        points = np.asarray(loaded.vertices, dtype=np.float64).reshape(-1, 3)
        colours = np.asarray(loaded.colors, dtype=np.uint8)[:, :3]
        if len(points) != len(colours):
            raise ValueError(f"{len(points)} points, {len(colours)} colours")
    except (OSError, ValueError, AttributeError, IndexError, KeyError) as error:
        raise TriptychError(f"{file}: not a coloured point cloud ({error}); write it again") from error
    return SparsePoints(points, colours)


def read_trained_scene(folder: Path, *, device: torch.device) -> TrainedScene:
    """Read a trained scene.

    Args:
        folder: results/scenes/NAME.
        device: device to render on.

    Raises:
        TriptychError: the folder or a file in it is missing or malformed.
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
            target = os.path.relpath(folder / WEIGHTS)
            raise TriptychError(f"{file}: not found; make it with `snakemake --cores all {target}`")
    scene, cloud = read_scene(folder / FILES[0]), folder / "sparse.ply"
    return TrainedScene(
        name=folder.resolve().name,
        cameras=scene.cameras,
        images=scene.files,
        radiance=load_field(folder / FILES[1], folder / FILES[2], device=device),
        world=read_scene_file(folder / FILES[0]).world,
        cloud=read_cloud(cloud) if cloud.is_file() else None,
    )
