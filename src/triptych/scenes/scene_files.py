"""Scene files with known poses: their frames, and the files of images and masks.

Supported are the `transforms.json` of instant-ngp and nerfstudio, and the pair `transforms_train.json`
and `transforms_test.json` of NeRF's synthetic scenes (Mildenhall et al. 2020). Images are not
opened: the workflow uses this module for planning.
"""

import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from triptych.scenes.coordinates import OFFSET, SCALE, World
from triptych.workflow.errors import TriptychError, malformed
from triptych.workflow.files import read_json
from triptych.workflow.folder_fingerprint import files_fingerprint

log = logging.getLogger("triptych")

AABB_SCALES = (1, 2, 4, 8, 16, 32, 64, 128)
TRAIN, TEST = "train", "test"
SINGLE = "transforms.json"
PAIR = {TRAIN: "transforms_train.json", TEST: "transforms_test.json"}


@dataclass(frozen=True)
class Mask:
    """Which pixels of an image are ignored.

    Attributes:
        file: an image of the photograph's size.
        hides: "black" if its black pixels (0) are ignored, "white" if its other pixels are.
    """

    file: Path
    hides: str


@dataclass(frozen=True)
class Frame:
    """One entry of a scene file.

    Attributes:
        name: its `file_path`.
        number: its position in its file.
        where: file and frame, for messages.
        values: its own keys, and the file's top-level keys, which apply to all frames.
        image: the image, or None if there is no such file.
        mask: the pixels to ignore, or None.
        split: `train` or `test`; None if the file has no split.
    """

    name: str
    number: int
    where: str
    values: dict[str, Any]
    image: Path | None
    mask: Mask | None
    split: str | None


@dataclass(frozen=True)
class SceneFile:
    """A scene file, or a pair of them.

    Attributes:
        paths: the path of the file, or of both.
        aabb_scale: side of the box that holds the scene, in unit cubes.
        world: the conversion from the file's coordinates to the unit cube's.
        frames: one per listed image, in the file's order.
    """

    paths: tuple[Path, ...]
    aabb_scale: int
    world: World
    frames: list[Frame]

    @property
    def missing(self) -> list[str]:
        """Names of the frames whose image does not exist."""
        return [frame.name for frame in self.frames if frame.image is None]

    def warn_of_missing(self, path: str | Path) -> None:
        """Log how many of the listed images do not exist."""
        if self.missing:
            count, total, first = len(self.missing), len(self.frames), self.missing[0]
            log.warning("%s: %d of %d images do not exist (first: %s)", path, count, total, first)


def _image(folder: Path, file_path: str) -> Path | None:
    """The image file of a frame, or None; synthetic scenes leave out `.png`."""
    candidates = (folder / file_path, folder / f"{file_path}.png")
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _mask(folder: Path, mask_path: str | None, image: Path | None, where: str) -> Mask | None:
    """The mask of a frame: its `mask_path`, or else a file in the folder of the image.

    The two conventions are opposite: a `mask_path` (nerfstudio) is black, a `dynamic_mask_NAME.png`
    (instant-ngp) is anything but black for pixels to ignore.
    """
    if mask_path is not None:
        if not (folder / mask_path).is_file():
            raise TriptychError(f"{where}: its mask {mask_path} does not exist; correct or remove mask_path")
        return Mask(folder / mask_path, hides="black")
    beside = None if image is None else image.with_name(f"dynamic_mask_{image.stem}.png")
    return Mask(beside, hides="white") if beside is not None and beside.is_file() else None


def _frame(path: Path, number: int, values: dict[str, Any], common: dict[str, Any]) -> Frame:
    name = str(values["file_path"])
    where, image, split = f"{path}, frame {name}", _image(path.parent, name), values.get("split")
    if split not in (None, TRAIN, TEST):
        raise TriptychError(f"{where}: split is {split!r}; it must be train or test")
    mask = _mask(path.parent, values.get("mask_path"), image, where)
    return Frame(name, number, where, common | values, image, mask, split)


def read_scene_file(path: str | Path) -> SceneFile:
    """Read one scene file and look for the images and masks that it names.

    Args:
        path: the JSON file; `file_path` and `mask_path` entries are relative to it.

    Raises:
        TriptychError: it is missing or malformed, or names a mask that does not exist.
    """
    path = Path(path)
    try:
        content = read_json(path)
        common = {key: content[key] for key in content if key != "frames"}
        offset = content.get("offset", OFFSET)
        x, y, z = offset if isinstance(offset, list) else (offset, offset, offset)
        result = SceneFile(
            paths=(path,),
            aabb_scale=int(content.get("aabb_scale", 1)),
            world=World(float(content.get("scale", SCALE)), np.array([float(x), float(y), float(z)])),
            frames=[_frame(path, number, one, common) for number, one in enumerate(content["frames"])],
        )
    except FileNotFoundError as error:
        raise TriptychError(f"{path}: not found; run the pose estimation of this scene first") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TriptychError(
            f"{path}: not a valid transforms.json ({malformed(error)}); write it again"
        ) from error
    if result.aabb_scale not in AABB_SCALES:
        raise TriptychError(
            f"{path}: aabb_scale is {result.aabb_scale}; it must be a power of two from 1 to 128"
        )
    return result


def check_images(path: str | Path, content: SceneFile) -> None:
    """Raise `TriptychError` unless there are two images, and all or none of them have a split."""
    listed = len(content.frames)
    present = listed - len(content.missing)
    if present < 2:
        raise TriptychError(
            f"{path}: {present} of {listed} listed images exist; at least 2 are needed, "
            "so check the file's image folder"
        )
    splits = {frame.split for frame in content.frames if frame.image is not None}
    if splits not in ({None}, {TRAIN, TEST}):
        raise TriptychError(
            f"{path}: either no image has a split, or each one is train or test and there are both; "
            f"found {', '.join(sorted(str(split) for split in splits))}"
        )


def _find_and_read(path: Path) -> SceneFile:
    if path.is_file():
        return read_scene_file(path)
    if not path.is_dir():
        raise TriptychError(f"{path} does not exist; correct `path`")
    pair = {split: path / name for split, name in PAIR.items()}
    missing = [file for file in pair.values() if not file.is_file()]
    if missing:
        if (path / SINGLE).is_file():
            return read_scene_file(path / SINGLE)
        if len(missing) == 1:
            raise TriptychError(f"{path}: there is only one of {' and '.join(PAIR.values())}; add the other")
        raise TriptychError(f"{path}: there is no {SINGLE} and no {' and '.join(PAIR.values())} in it")
    train, test = (read_scene_file(file) for file in pair.values())
    boxes = [(one.aabb_scale, one.world.scale, one.world.offset.tolist()) for one in (train, test)]
    if boxes[0] != boxes[1]:
        raise TriptychError(f"{path}: its two files differ in aabb_scale, scale or offset; make them agree")
    frames = [
        replace(frame, split=split)
        for split, content in ((TRAIN, train), (TEST, test))
        for frame in content.frames
    ]
    return replace(train, paths=(*train.paths, *test.paths), frames=frames)


def read_known_poses(path: str | Path) -> SceneFile:
    """Read a scene file, or the pair of training and test file, whose frames get their split from it.

    Args:
        path: a scene file, or a folder with `transforms.json`, or with `transforms_train.json` and
            `transforms_test.json`, which are preferred.

    Raises:
        TriptychError: there is no file, one is malformed, the two differ in their coordinates, or there
            are not enough images.
    """
    content = _find_and_read(Path(path))
    check_images(path, content)
    return content


def poses_fingerprint(path: str | Path) -> str:
    """A value that changes if a file of the scene is added, removed or edited; other files do not count.

    Raises:
        TriptychError: see `read_known_poses`.
    """
    content = read_known_poses(path)
    images = [frame.image for frame in content.frames if frame.image is not None]
    masks = [frame.mask.file for frame in content.frames if frame.mask is not None]
    root, files = content.paths[0].parent, (*content.paths, *images, *masks)
    return files_fingerprint({os.path.relpath(file, root): file for file in files})
