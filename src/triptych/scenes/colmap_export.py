"""COLMAP's sparse model of a scene, binary and text, for other programs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pycolmap

from triptych.scenes.calibration import COEFFICIENTS
from triptych.scenes.coordinates import FLIP_YZ, Array
from triptych.scenes.sparse_points import SparsePoints
from triptych.workflow.files import atomic_folder


def opengl_poses(images: Sequence[pycolmap.Image]) -> Array:
    """Camera-to-world poses (n, 4, 4) of posed images, with OpenGL's axes."""
    poses = np.tile(np.eye(4), (len(images), 1, 1))
    poses[:, :3] = [image.cam_from_world().inverse().matrix() for image in images]
    return np.asarray(poses @ np.diag([*FLIP_YZ, 1.0]))


def write_model(model: pycolmap.Reconstruction, folder: str | Path) -> None:
    """Write a model in both of COLMAP's formats; the files of both may share a folder."""
    with atomic_folder(folder) as temporary:
        model.write_binary(temporary)
        model.write_text(temporary)


def colmap_model(
    frames: Sequence[Mapping[str, Any]], points: SparsePoints | None = None
) -> pycolmap.Reconstruction:
    """A model of posed images, given by entries of a scene file; lenses without distortion are PINHOLE."""
    model = pycolmap.Reconstruction()
    cameras: dict[tuple[Any, ...], int] = {}
    for number, frame in enumerate(frames, start=1):
        model_name = frame["camera_model"]
        params = [frame[name] for name in ("fl_x", "fl_y", "cx", "cy")]
        distortion = [frame[name] for name in COEFFICIENTS[model_name == "OPENCV_FISHEYE"]]
        if model_name == "OPENCV" and not any(distortion):
            model_name = "PINHOLE"
        else:
            params += distortion
        lens = (model_name, frame["w"], frame["h"], *params)
        if lens not in cameras:
            cameras[lens] = len(cameras) + 1
            camera = pycolmap.Camera(
                camera_id=cameras[lens], model=model_name, width=frame["w"], height=frame["h"], params=params
            )
            model.add_camera_with_trivial_rig(camera)
        pose = np.asarray(frame["transform_matrix"], dtype=np.float64)[:3]
        rotation = pycolmap.Rotation3d(pose[:, :3] * FLIP_YZ)
        name = Path(frame["file_path"]).relative_to("frames").as_posix()
        image = pycolmap.Image(name=name, camera_id=cameras[lens], image_id=number)
        model.add_image_with_trivial_frame(image, pycolmap.Rigid3d(rotation, pose[:, 3]).inverse())
    if points is not None:
        for point, colour in zip(points.points, points.colours, strict=True):
            model.add_point3D(point, pycolmap.Track(), colour)
    return model
