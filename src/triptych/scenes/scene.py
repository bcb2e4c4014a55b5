"""Reading a scene: `transforms.json` in instant-ngp's format, and the images it names."""

import logging
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from triptych.scenes.calibration import intrinsics, is_fisheye, pose
from triptych.scenes.cameras import Cameras
from triptych.scenes.transforms_file import OFFSET as OFFSET
from triptych.scenes.transforms_file import SCALE as SCALE
from triptych.scenes.transforms_file import TEST, TRAIN, Mask, check_splits, read_transforms
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")


@dataclass(frozen=True)
class Scene:
    """Posed images, sorted by name: numbers in names by their value, so that im_2 comes before im_10.

    Attributes:
        names: one a image, the file name without suffix.
        files: the image files.
        masks: what to ignore of each image, or None.
        splits: `train` or `test` for each image if the file tells them apart, else None for all.
        cameras: intrinsics at the size in use, poses in unit-cube coordinates.
        aabb_scale: side of the box that holds the scene, in unit cubes.
    """

    names: list[str]
    files: list[Path]
    masks: list[Mask | None]
    splits: list[str | None]
    cameras: Cameras
    aabb_scale: int

    def split(self, holdout: int) -> tuple[list[int], list[int]]:
        """Positions of the training and of the held-out images.

        The file's own split where it has one; else every `holdout`-th image is held out, first included.
        """
        positions = range(len(self.names))
        if any(self.splits):
            training, heldout = ([i for i in positions if self.splits[i] == part] for part in (TRAIN, TEST))
            return training, heldout
        return [i for i in positions if i % holdout], list(positions[::holdout])


def natural_order(name: str) -> tuple[list[str | int], str]:
    """A key that sorts names as people count: by the values of the numbers in them.

    Frames of a film are numbered in the order of capture, often without leading zeros, while the
    order in which they are listed may be any.
    """
    # text and numbers alternate, so like is compared with like
    parts = re.split(r"(\d+)", name)
    return [int(part) if number % 2 else part for number, part in enumerate(parts)], name


def image_size(file: Path) -> tuple[int, int]:
    """Width and height of an image file, from its header.

    Raises:
        TriptychError: it is not a readable image.
    """
    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise TriptychError(
            f"{file}: cannot be read as an image ({error}); extract the frames again"
        ) from error


def check_mask(mask: Mask, size: tuple[int, int]) -> None:
    """Raise `TriptychError` unless a mask has the size of its image."""
    width, height = image_size(mask.file)
    if (width, height) != size:
        raise TriptychError(
            f"{mask.file}: this mask is {width}x{height} but its image is {size[0]}x{size[1]}; "
            "give it the image's size"
        )


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
    content = read_transforms(path)
    listed = sorted(content.frames, key=lambda frame: natural_order(frame.name))
    frames = [(frame, frame.image) for frame in listed if frame.image is not None]
    if len(frames) < len(listed):
        missing = [frame.name for frame in listed if frame.image is None]
        log.warning(
            "%s: %d of %d images do not exist (first: %s)", path, len(missing), len(listed), missing[0]
        )
    if len(frames) < 2:
        raise TriptychError(
            f"{path}: {len(frames)} of {len(listed)} listed images exist; at least 2 are needed, "
            "so check the image folder beside the file"
        )
    names = [image.stem for _, image in frames]
    if len(set(names)) < len(names):
        raise TriptychError(f"{path}: several images share a name; give every image a name of its own")
    check_splits(path, [frame for frame, _ in frames])

    numbers: list[list[float]] = []
    poses: list[np.ndarray] = []
    for frame, image in frames:
        where, size = content.where(frame), image_size(image)
        numbers.append(intrinsics(frame.values, where, size, downscale))
        poses.append(pose(frame.values, where, scale=content.scale, offset=content.offset))
        if frame.mask is not None:
            check_mask(frame.mask, size)
    fisheye = [is_fisheye(frame.values, content.where(frame)) for frame, _ in frames]
    table, matrices = torch.tensor(numbers), torch.from_numpy(np.stack(poses)).float()
    cameras = Cameras(
        focal=table[:, 0:2],
        centre=table[:, 2:4],
        distortion=table[:, 4:8],
        rotation=matrices[:, :, :3],
        position=matrices[:, :, 3],
        size=table[:, 8:10].long(),
        fisheye=torch.tensor(fisheye) if any(fisheye) else None,
    )
    return Scene(
        names=names,
        files=[image for _, image in frames],
        masks=[frame.mask for frame, _ in frames],
        splits=[frame.split for frame, _ in frames],
        cameras=cameras,
        aabb_scale=content.aabb_scale,
    )


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


def read_mask(mask: Mask, size: tuple[int, int]) -> Tensor:
    """Which pixels of an image count, at `size` (width, height): (h, w) bool.

    Where several pixels of the file become one, all of them must count.

    Raises:
        TriptychError: the file is not a readable image, or nothing is left.
    """
    try:
        with Image.open(mask.file) as opened:
            white = np.array(opened.convert("L")) > 0
    except (OSError, UnidentifiedImageError) as error:
        raise TriptychError(f"{mask.file}: cannot be read as an image ({error}); replace it") from error
    counts = white if mask.hides == "black" else ~white
    if counts.shape[::-1] != size:
        grey = Image.fromarray(np.where(counts, 255, 0).astype(np.uint8))
        counts = np.array(grey.resize(size, Image.Resampling.BOX)) == 255
    if not counts.any():
        raise TriptychError(f"{mask.file}: this mask hides its whole image; leave the frame out instead")
    return torch.from_numpy(counts)
