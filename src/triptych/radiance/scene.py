"""Reading a scene: `transforms.json` in instant-ngp's format, and the images it names."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from triptych.radiance.cameras import Cameras
from triptych.run.errors import TriptychError

log = logging.getLogger("triptych")

# The format's convention: world positions times SCALE plus OFFSET lie in the unit cube.
SCALE = 0.33
OFFSET = 0.5
AABB_SCALES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Scene:
    """Posed images, sorted by name.

    Attributes:
        names: one a image, the file name without suffix.
        files: the image files.
        cameras: intrinsics at the size in use, poses in unit-cube coordinates.
        aabb_scale: side of the box that holds the scene, in unit cubes.
    """

    names: list[str]
    files: list[Path]
    cameras: Cameras
    aabb_scale: int

    def split(self, holdout: int) -> tuple[list[int], list[int]]:
        """Positions of the training and of the held-out images: every `holdout`-th, first included."""
        heldout = list(range(0, len(self.names), holdout))
        return [i for i in range(len(self.names)) if i % holdout], heldout


def _image_file(folder: Path, file_path: str) -> Path | None:
    """The file a frame names; some data sets leave out `.png`."""
    for candidate in (folder / file_path, folder / f"{file_path}.png"):
        if candidate.is_file():
            return candidate
    return None


def _image_size(file: Path) -> tuple[int, int]:
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise TriptychError(
            f"{file}: cannot be read as an image ({error}); extract the frames again"
        ) from error


def _intrinsics(values: dict[str, Any], where: str, size: tuple[int, int], downscale: int) -> list[float]:
    """fx, fy, cx, cy, k1, k2, p1, p2, w, h at the size in use."""
    if values.get("is_fisheye") or "FISHEYE" in str(values.get("camera_model", "")):
        raise TriptychError(
            f"{where}: fisheye lenses are not supported; use an OPENCV or PINHOLE camera model"
        )
    width, height = float(values.get("w", size[0])), float(values.get("h", size[1]))
    if "fl_x" in values:
        fx = float(values["fl_x"])
    elif "camera_angle_x" in values:
        fx = 0.5 * width / math.tan(0.5 * float(values["camera_angle_x"]))
    else:
        raise TriptychError(f"{where}: neither fl_x nor camera_angle_x is given; add the focal length")
    if abs(size[0] * height / (size[1] * width) - 1) > 0.02:
        raise TriptychError(
            f"{where}: the image is {size[0]}x{size[1]} but w x h says {width:g}x{height:g}; "
            "use images of the calibrated shape"
        )
    used = [max(1, round(side / downscale)) for side in size]
    sx, sy = used[0] / width, used[1] / height
    lens = [float(values.get(key, 0.0)) for key in ("k1", "k2", "p1", "p2")]
    cx, cy = float(values.get("cx", width / 2)), float(values.get("cy", height / 2))
    return [fx * sx, float(values.get("fl_y", fx)) * sy, cx * sx, cy * sy, *lens, *used]


def _pose(frame: dict[str, Any], where: str, scale: float, offset: np.ndarray) -> np.ndarray:
    """(3, 4) camera-to-cube matrix in OpenCV axes; the file's axes are OpenGL's."""
    matrix = np.asarray(frame.get("transform_matrix"), dtype=np.float64)
    if matrix.shape not in ((4, 4), (3, 4)) or not np.isfinite(matrix).all():
        raise TriptychError(f"{where}: transform_matrix must be 4 rows of 4 finite numbers")
    pose = matrix[:3].copy()
    pose[:, 1:3] *= -1
    pose[:, 3] = pose[:, 3] * scale + offset
    return pose


def read_scene(path: str | Path, *, downscale: int = 1) -> Scene:
    """Read `transforms.json` and the sizes of its images.

    Frames whose image does not exist are left out with a warning, since published scenes list
    such frames. Intrinsics may stand at the top or in a frame, and are scaled to the size in use.

    Args:
        path: the JSON file; `file_path` entries are relative to it.
        downscale: whole number by which the images' sides are divided.

    Raises:
        TriptychError: the file is missing or malformed, or fewer than two images exist.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        frames = content["frames"]
        aabb_scale = int(content.get("aabb_scale", 1))
        scale, offset = float(content.get("scale", SCALE)), np.broadcast_to(content.get("offset", OFFSET), 3)
        listed = sorted(frames, key=lambda frame: str(frame["file_path"]))
    except FileNotFoundError as error:
        raise TriptychError(f"{path}: not found; run the pose estimation of this scene first") from error
    except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise TriptychError(f"{path}: not a valid transforms.json ({error!r}); write it again") from error
    if aabb_scale not in AABB_SCALES:
        raise TriptychError(f"{path}: aabb_scale is {aabb_scale}; it must be a power of two from 1 to 128")

    names: list[str] = []
    files: list[Path] = []
    numbers: list[list[float]] = []
    poses: list[np.ndarray] = []
    missing: list[str] = []
    common = {key: value for key, value in content.items() if key != "frames"}
    for frame in listed:
        where = f"{path}, frame {frame['file_path']}"
        file = _image_file(path.parent, frame["file_path"])
        if file is None:
            missing.append(frame["file_path"])
            continue
        names.append(file.stem)
        files.append(file)
        numbers.append(_intrinsics(common | frame, where, _image_size(file), downscale))
        poses.append(_pose(frame, where, scale, offset))
    if missing:
        log.warning(
            "%s: %d of %d images do not exist (first: %s)", path, len(missing), len(listed), missing[0]
        )
    if len(files) < 2:
        raise TriptychError(
            f"{path}: {len(files)} of {len(listed)} listed images exist; at least 2 are needed, "
            "so check the image folder beside the file"
        )
    if len(set(names)) < len(names):
        raise TriptychError(f"{path}: several images share a name; give every image a name of its own")
    table, pose = torch.tensor(numbers), torch.from_numpy(np.stack(poses)).float()
    cameras = Cameras(
        focal=table[:, 0:2],
        centre=table[:, 2:4],
        distortion=table[:, 4:8],
        rotation=pose[:, :, :3],
        position=pose[:, :, 3],
        size=table[:, 8:10].long(),
    )
    return Scene(names=names, files=files, cameras=cameras, aabb_scale=aabb_scale)


def read_image(file: Path, size: tuple[int, int]) -> Tensor:
    """One image at `size` (width, height): (h, w, 3 or 4) uint8; area-averaged when it shrinks.

    Raises:
        TriptychError: the file is not a readable image.
    """
    try:
        with Image.open(file) as opened:
            image = opened.convert("RGBA" if "A" in opened.getbands() else "RGB")
        if image.size != size:
            image = image.resize(size, Image.Resampling.BOX)
        return torch.from_numpy(np.array(image))
    except (OSError, UnidentifiedImageError) as error:
        raise TriptychError(
            f"{file}: cannot be read as an image ({error}); extract the frames again"
        ) from error
