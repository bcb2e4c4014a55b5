"""Structure from motion from verified matches: camera poses and 3D points."""

import logging
import math
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pycolmap

from triptych.sfm.matching import ADVICE, colmap_seed, count_matches, quieten
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

MIN_REGISTERED = 3


def largest_model(models: dict[int, pycolmap.Reconstruction]) -> pycolmap.Reconstruction:
    """The reconstruction with the most registered images; of equals, the one with more points.

    COLMAP starts another model if it cannot continue one, and the first may not be the best.
    """
    return max(models.values(), key=lambda model: (model.num_reg_images(), model.num_points3D()))


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


def refine(model: pycolmap.Reconstruction) -> None:
    """Final bundle adjustment in place, including the principal point.

    While the model grows, the principal point is fixed at the image's centre: the first few views do not
    determine it, but all views together do.
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.refine_principal_point = True
    options.print_summary = False
    options.ceres.solver_options.num_threads = 1
    pycolmap.bundle_adjustment(model, options)
    model.update_point_3d_errors()


def map_scene(images: str | Path, database: str | Path, folder: str | Path, *, seed: int) -> dict[str, Any]:
    """Incremental mapping; writes the largest model in COLMAP's binary format.

    It runs in one thread: with more, poses would depend on their number, and a scene of fifty images gains
    nothing (COLMAP's bundle adjustment uses several threads from 50,000 residuals on).

    Args:
        images: the folder of images of the database.
        database: COLMAP database with verified matches.
        folder: the folder of the model to write.
        seed: seed of RANSAC.

    Returns:
        images, registered, points, observations, mean_reprojection_error in pixels,
        mean_track_length, camera (of the first image size; `cameras` has all), verified_pairs,
        models (the number of models that COLMAP made).

    Raises:
        TriptychError: if no model, or only one of fewer than three images, can be made.
    """
    quieten()
    options = pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.random_seed = colmap_seed("mapping", seed)
    options.min_model_size = MIN_REGISTERED
    with atomic_folder(folder) as temporary, TemporaryDirectory() as scratch:
        # COLMAP writes to every database it opens, and Snakemake would see a changed input.
        database = shutil.copy(database, scratch)
        counts = count_matches(database)
        with Progress(counts.images, "mapping", unit="image") as progress:
            models = pycolmap.incremental_mapping(
                database, images, scratch, options=options, next_image_callback=progress.update
            )
        if not models:
            raise TriptychError(f"{images}: mapping found no two images to start from ({counts}); {ADVICE}")
        model = largest_model(models)
        registered = model.num_reg_images()
        if registered < MIN_REGISTERED:
            raise TriptychError(
                f"{images}: mapping placed only {registered} of {counts.images} images ({counts}); {ADVICE}"
            )
        refine(model)
        model.write_binary(temporary)
        found = {
            "images": counts.images,
            **describe(model),
            "verified_pairs": counts.verified_pairs,
            "models": len(models),
        }
        if not math.isfinite(found["mean_reprojection_error"]):
            raise TriptychError(f"{images}: bundle adjustment diverged ({counts}); {ADVICE}")
    if registered < counts.images:
        left_out = counts.images - registered
        log.warning("%s: %d of %d images have no pose and are left out", images, left_out, counts.images)
    return found
