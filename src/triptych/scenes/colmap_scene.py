"""COLMAP's models as scenes with known poses."""

import os
from pathlib import Path

import numpy as np
import pycolmap

from triptych.scenes.colmap_binary import read_model
from triptych.scenes.colmap_export import opengl_poses
from triptych.scenes.colmap_files import find_models, image_root
from triptych.scenes.coordinates import OFFSET, SCALE, World
from triptych.scenes.listed_files import find_listed_files, printable
from triptych.scenes.normalisation import normalisation
from triptych.scenes.scene_files import Frame, SceneFile, check_images
from triptych.scenes.sparse_points import SparsePoints
from triptych.scenes.undistortion import lens_values
from triptych.workflow.errors import TriptychError

AABB_SCALE = 4


def _read_model(folder: Path) -> pycolmap.Reconstruction:
    try:
        return read_model(folder)
    except (OSError, ValueError, RuntimeError, IndexError, MemoryError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise TriptychError(f"{folder}: COLMAP cannot read this model ({reason}); export it again") from error


def read_colmap_scene(path: str | Path) -> tuple[SceneFile, SparsePoints | None]:
    """Read a COLMAP model with its images; of several, the one with the most images.

    The model is turned upright, centred and scaled as after structure from motion (`normalisation`), because
    COLMAP's world has no meaning of its own. The path is that of a folder with `images/` and `sparse/0/`, or
    of the model's own folder beside `images/`. Lenses may need undistortion. Raises `TriptychError` if there
    is no model, it cannot be read, or fewer than two of its images exist.
    """
    path = Path(path)
    folders = find_models(path)
    models = {folder: _read_model(folder) for folder in folders}
    folder = max(folders, key=lambda one: (models[one].num_reg_images(), models[one].num_points3D()))
    model = models[folder]
    notes = [
        f"the model {os.path.relpath(other, path)} of {one.num_reg_images()} images is not used: "
        f"{os.path.relpath(folder, path)} has {model.num_reg_images()}"
        for other, one in models.items()
        if other != folder
    ]
    try:
        images = sorted(
            (model.image(number) for number in model.reg_image_ids()), key=lambda image: image.name
        )
    except UnicodeDecodeError as error:
        raise TriptychError(
            f"{folder}: the name of an image is not UTF-8; rename it and map again"
        ) from error
    if not images:
        raise TriptychError(f"{folder}: this model has no images with poses; export it again")
    # COLMAP inverts a rotation that is not finite to the identity
    if not all(np.isfinite(image.cam_from_world().matrix()).all() for image in images):
        raise TriptychError(f"{folder}: a pose of this model is not finite; export it again")
    poses = opengl_poses(images)
    change = normalisation(poses)
    root = image_root(path)
    found = find_listed_files(root, [image.name for image in images])
    frames: list[Frame] = []
    seen: set[Path | None] = {None}
    for number, (image, pose, one) in enumerate(zip(images, change.apply(poses), found, strict=True)):
        left_out = "" if one.file not in seen else "is listed twice" if one.file else "does not exist"
        seen.add(one.file)
        frames.append(
            Frame(
                name=printable(image.name),
                number=number,
                where=f"{folder}, image {printable(image.name)}",
                values={**lens_values(model.camera(image.camera_id)), "transform_matrix": pose.tolist()},
                image=None if left_out else one.file,
                mask=None,
                split=None,
                listed=one.listed,
                left_out=left_out,
            )
        )
    scene = SceneFile((folder,), AABB_SCALE, World(SCALE, np.full(3, OFFSET)), frames, notes=tuple(notes))
    check_images(root, scene)
    points = list(model.points3D.values())
    if not points:
        return scene, None
    positions = np.array([point.xyz for point in points])
    moved = change.scale * positions @ change.rotation.T + change.translation
    return scene, SparsePoints(moved, np.array([point.color for point in points], dtype=np.uint8))
