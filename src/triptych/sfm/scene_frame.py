"""Conversion from COLMAP's world to instant-ngp's: up direction, origin and unit of length.

COLMAP's camera looks along +z with y down and its world has no meaning of its own. In a
transforms.json the camera looks along -z with y up (OpenGL), +z is up, the scene's middle is
the origin, and the cameras are 4 away from it on average.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pycolmap

from triptych.data.image_files import natural_order
from triptych.scenes.calibration import COEFFICIENTS
from triptych.scenes.colmap_export import opengl_poses, write_model
from triptych.scenes.manifest import sharpness_of_files
from triptych.scenes.normalisation import normalisation
from triptych.scenes.scene_files import EMPTY, TEST, TRAIN
from triptych.scenes.undistortion import lens_values
from triptych.scenes.write_scene import lens_entry, write_scene_file
from triptych.sfm.masks import mask_file
from triptych.workflow.files import atomic_path


def _lens(camera: pycolmap.Camera) -> dict[str, Any]:
    """The lens of a camera of COLMAP's perspective models, which are OPENCV with fewer parameters."""
    values = lens_values(camera)
    focal = [values["fl_x"], values.get("fl_y", values["fl_x"])]
    coefficients = [values.get(name, 0.0) for name in COEFFICIENTS[False]]
    centre, size = [values["cx"], values["cy"]], [camera.width, camera.height]
    return lens_entry([*focal, *centre, *coefficients, *size], fisheye=False)


def write_transforms(
    model_folder: str | Path,
    manifest: str | Path,
    target: str | Path,
    cloud: str | Path,
    scene_model: str | Path,
    *,
    aabb_scale: int,
    masks: str | Path | None = None,
    masked: str = "ignored",
    held_out: Collection[str] = (),
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a COLMAP model as transforms.json, and the model and its points as PLY in the same coordinates.

    Args:
        model_folder: COLMAP binary model with perspective cameras.
        target: transforms.json, in the folder that also holds `frames/`.
        aabb_scale: side of the box that the radiance field covers, in instant-ngp's units: a power of 2.
        masks: the folder of the frames' masks, beside `target`; None if there are none.
        masked: what the masks hide, `ignored` or `empty`.
        held_out: images whose poses were found afterwards; the file says that they are for testing. If there
            are none, the file has no split.
    """
    model = pycolmap.Reconstruction(model_folder)
    registered = sorted(
        (model.image(number) for number in model.reg_image_ids()), key=lambda one: natural_order(one.name)
    )
    poses = opengl_poses(registered)
    change = normalisation(poses)
    sharpness = sharpness_of_files(manifest)
    frames = [
        {
            "file_path": f"frames/{image.name}",
            "sharpness": sharpness[image.name],
            **({} if masks is None else {"mask_path": f"{Path(masks).name}/{mask_file(image.name)}"}),
            **({"masked": masked} if masked == EMPTY else {}),
            **_lens(model.camera(image.camera_id)),
            **({"split": TEST if image.name in held_out else TRAIN} if held_out else {}),
            "transform_matrix": pose.tolist(),
        }
        for image, pose in zip(registered, change.apply(poses), strict=True)
    ]
    model.transform(pycolmap.Sim3d(change.scale, pycolmap.Rotation3d(change.rotation), change.translation))
    write_model(model, scene_model)
    with atomic_path(cloud) as temporary:
        model.export_PLY(temporary)
    write_scene_file(target, frames, aabb_scale=aabb_scale, cloud=Path(cloud).name, provenance=provenance)
