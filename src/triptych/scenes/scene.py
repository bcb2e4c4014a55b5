"""Reading a scene: its cameras, and the files of its images and masks."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from triptych.data.image_files import image_size, natural_order
from triptych.scenes.calibration import intrinsics, is_fisheye, pose, unit_cube_pose
from triptych.scenes.cameras import Cameras
from triptych.scenes.coordinates import World
from triptych.scenes.images import check_mask
from triptych.scenes.normalisation import fitting_world
from triptych.scenes.scene_files import TEST, TRAIN, Mask, check_images, read_scene_file
from triptych.workflow.errors import TriptychError


@dataclass(frozen=True)
class Scene:
    """Posed images, sorted by name; numbers in names are compared by value: im_2 comes before im_10."""

    names: list[str]  # one per image, the file name without suffix
    files: list[Path]
    masks: list[Mask | None]  # one per image, which pixels it hides, or None
    splits: list[str | None]  # one per image, `train` or `test`; all None if the file has no split
    cameras: Cameras  # intrinsics at the size in use, poses in unit-cube coordinates
    aabb_scale: int  # side of the box that holds the scene, in unit cubes
    fitted_world: World  # the conversion to the unit cube that would centre and size the scene

    def split(self, holdout: int) -> tuple[list[int], list[int]]:
        """Positions of training and held-out images: the file's split, or every `holdout`-th, the first
        included.
        """
        positions = range(len(self.names))
        if any(self.splits):
            training, heldout = ([i for i in positions if self.splits[i] == part] for part in (TRAIN, TEST))
            return training, heldout
        return [i for i in positions if i % holdout], list(positions[::holdout])


def read_scene(path: str | Path, *, downscale: int = 1) -> Scene:
    """Read a scene file and the sizes of its images, whose sides are divided by `downscale`.

    Frames whose image does not exist are left out with a warning, since published scenes list such frames.
    Intrinsics may be at the top level or in a frame, and are scaled to the size in use. Raises
    `TriptychError` if the file is missing or malformed, or fewer than two images exist.
    """
    content = read_scene_file(path)
    check_images(path, content)
    content.log_notes(path)
    listed = sorted(content.frames, key=lambda frame: natural_order(frame.name))
    frames = [(frame, frame.image) for frame in listed if frame.image is not None]
    names = [image.stem for _, image in frames]
    if len(set(names)) < len(names):
        raise TriptychError(f"{path}: several images share a name; give every image a name of its own")

    lenses, poses = [], []
    matrices = np.tile(np.eye(4), (len(frames), 1, 1))
    matrices[:, :3] = [pose(frame) for frame, _ in frames]
    for frame, image in frames:
        size = image_size(image)
        lenses.append(intrinsics(frame, size, downscale))
        poses.append(unit_cube_pose(frame, content.world))
        if frame.mask is not None:
            check_mask(frame.mask, size)
    fisheye = [is_fisheye(frame) for frame, _ in frames]
    lens = torch.tensor(lenses)
    rotations, positions = (torch.from_numpy(np.stack(part)).float() for part in zip(*poses, strict=True))
    cameras = Cameras(
        focal=lens[:, 0:2],
        centre=lens[:, 2:4],
        distortion=lens[:, 4:8],
        rotation=rotations,
        position=positions,
        size=lens[:, 8:10].long(),
        fisheye=torch.tensor(fisheye) if any(fisheye) else None,
    )
    return Scene(
        names=names,
        files=[image for _, image in frames],
        masks=[frame.mask for frame, _ in frames],
        splits=[frame.split for frame, _ in frames],
        cameras=cameras,
        aabb_scale=content.aabb_scale,
        fitted_world=fitting_world(matrices),
    )
