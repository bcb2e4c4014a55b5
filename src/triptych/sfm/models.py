"""COLMAP's models of a scene: what they contain, and merging those that share images."""

import logging
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pycolmap

from triptych.data.image_files import natural_order

log = logging.getLogger("triptych")

MIN_COMMON = 3  # images in two models that determine a similarity transform
RANGES = 4  # of file names, in a summary


def registered_names(model: pycolmap.Reconstruction) -> list[str]:
    """Names of the images with a pose, in natural order."""
    return sorted((model.image(number).name for number in model.reg_image_ids()), key=natural_order)


def largest_first(models: dict[int, pycolmap.Reconstruction]) -> list[pycolmap.Reconstruction]:
    """Models by the number of registered images; of equals, the one with more points comes first.

    COLMAP starts another model if it cannot continue one, and the first may not be the best.
    """
    return sorted(models.values(), key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def file_ranges(names: Sequence[str], all_names: Sequence[str]) -> str:
    """Names as ranges in the order of `all_names`: `a01.jpg - a09.jpg, b03.jpg`."""
    chosen = set(names)
    runs = [list(run) for inside, run in groupby(all_names, key=chosen.__contains__) if inside]
    shown = [run[0] if len(run) == 1 else f"{run[0]} - {run[-1]}" for run in runs[:RANGES]]
    more = [f"{len(runs) - RANGES} more ranges"] if len(runs) > RANGES else []
    return ", ".join(shown + more)


def describe(model: pycolmap.Reconstruction) -> dict[str, Any]:
    """Size and accuracy of a reconstruction; errors in pixels."""
    cameras = [
        {
            "model": camera.model_name,
            "width": camera.width,
            "height": camera.height,
            "params": [float(value) for value in camera.params],
        }
        for _, camera in sorted(model.cameras.items())
    ]
    return {
        "registered": model.num_reg_images(),
        "points": model.num_points3D(),
        "observations": model.compute_num_observations(),
        "mean_reprojection_error": model.compute_mean_reprojection_error(),
        "mean_track_length": model.compute_mean_track_length(),
        "camera": cameras[0],
        "cameras": cameras,
    }


def add_pose(
    model: pycolmap.Reconstruction, image: pycolmap.Image, camera: pycolmap.Camera, pose: pycolmap.Rigid3d
) -> None:
    """Register an image of the same database, and its camera if the model has not got it."""
    if model.exists_image(image.image_id):
        frame = model.frame(model.image(image.image_id).frame_id)
        frame.set_cam_from_world(camera.camera_id, pose)
        model.register_frame(frame.frame_id)
        return
    if not model.exists_camera(camera.camera_id):
        model.add_camera_with_trivial_rig(camera)
    copy = pycolmap.Image(name=image.name, camera_id=camera.camera_id, image_id=image.image_id)
    model.add_image_with_trivial_frame(copy, pose)


def _join(target: pycolmap.Reconstruction, other: pycolmap.Reconstruction) -> bool:
    """Add the images of another model to `target`, in its coordinates; False if they do not fit together."""
    here = set(target.reg_image_ids())
    new = [number for number in other.reg_image_ids() if number not in here]
    if other.num_reg_images() - len(new) < MIN_COMMON:
        return False
    change = pycolmap.align_reconstructions_via_reprojections(other, target)
    if change is None:
        return False
    other.transform(change)
    for number in new:
        image = other.image(number)
        add_pose(target, image, other.camera(image.camera_id), image.cam_from_world())
    return True


def merge_models(
    models: list[pycolmap.Reconstruction], database: str | Path, images: str | Path, *, seed: int
) -> list[pycolmap.Reconstruction]:
    """Merge models into the largest, the first, if they share enough images, and triangulate its points anew.

    Returns the merged model, and the models that are not in it; those given may be changed.
    """
    if len(models) < 2:
        return models
    merged, rest = models[0], models[1:]
    sizes = [model.num_reg_images() for model in models]
    joined = True
    while joined:  # another model may fit once a third one has been added
        joined = False
        for other in list(rest):
            if _join(merged, other):
                rest.remove(other)
                joined = True
    if len(rest) == len(models) - 1:
        return models
    log.info("models with %s images merged: %d images", sizes, merged.num_reg_images())
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads, options.random_seed = 1, seed
    with TemporaryDirectory(dir=Path(database).parent) as scratch:
        merged = pycolmap.triangulate_points(merged, database, images, scratch, options=options)
    return [merged, *rest]
