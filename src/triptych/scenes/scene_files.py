"""Scene files with known poses: their frames, and the files of images and masks.

Read is the `transforms.json` of instant-ngp and nerfstudio, which NeRF's synthetic scenes (Mildenhall
et al. 2020), BlenderNeRF and others share. Images are not opened: the workflow uses this module for planning.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.scenes.coordinates import World
from triptych.scenes.listed_files import find_listed_files, is_url, printable
from triptych.scenes.scene_json import aabb_scale_of, invalid, parse_scene_json, world_of
from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

TRAIN, TEST = "train", "test"
EMPTY = "empty"
MAX_FRAMES = 20_000


@dataclass(frozen=True)
class Mask:
    """Which pixels of an image are ignored, or show empty space."""

    file: Path  # an image of the photograph's size
    hides: str  # "black" if its black pixels (0) are hidden, "white" if its other pixels are
    empty: bool = False  # whether the hidden pixels show empty space


@dataclass(frozen=True)
class Frame:
    """One entry of a scene file."""

    name: str  # its `file_path`
    number: int  # its position in its file
    where: str  # file and frame, for messages
    values: dict[str, Any]  # its own keys, and the file's top-level keys, which apply to all frames
    image: Path | None  # the image, or None if the frame is not used
    mask: Mask | None  # the pixels to ignore, or None
    split: str | None  # `train` or `test`; None if the file has no split
    listed: Path  # the image's path by the file, which need not exist
    left_out: str = ""  # why the frame is not used
    crop: int = 0  # pixels to cut off at each side of the image; its lens is that of the cropped image


@dataclass(frozen=True)
class SceneFile:
    """A scene file, or a pair of them."""

    paths: tuple[Path, ...]  # the path of the file, or of both
    aabb_scale: int  # side of the box that holds the scene, in unit cubes
    world: World  # the conversion from the file's coordinates to the unit cube's
    frames: list[Frame]  # one per listed image, in the file's order
    cloud: Path | None = None  # a PLY file of points of the scene, or None
    notes: tuple[str, ...] = ()  # what was found and is not used, or was interpreted, one sentence each

    @property
    def used(self) -> list[Frame]:
        """The frames that are used."""
        return [frame for frame in self.frames if frame.image is not None]

    def log_notes(self, path: str | Path) -> None:
        """Log what is not used, and how many of the listed images do not exist."""
        for note in self.notes:
            log.warning("%s: %s", path, note)
        left_out = [frame for frame in self.frames if frame.left_out]
        for reason in dict.fromkeys(frame.left_out for frame in left_out):
            names = [frame.name for frame in left_out if frame.left_out == reason]
            count, total = len(names), len(self.frames)
            log.warning(
                "%s: %d of %d images are left out (first: %s %s)", path, count, total, names[0], reason
            )


def _masks(
    folder: Path, frames: list[dict[str, Any]], images: list[Path | None], where: list[str]
) -> list[Mask | None]:
    """The mask of each frame: its `mask_path`, or else a file in the folder of the image.

    The two conventions are opposite: a `mask_path` (nerfstudio) is black, a `dynamic_mask_NAME.png`
    (instant-ngp) is anything but black for pixels to ignore. A frame whose `masked` is `empty` is this
    project's own: it shows nothing where its mask is black.
    """
    named = [n for n, frame in enumerate(frames) if frame.get("mask_path") is not None]
    paths = [str(frames[n]["mask_path"]) for n in named]
    result: list[Mask | None] = [None] * len(frames)
    for n, path, found in zip(named, paths, find_listed_files(folder, paths), strict=True):
        if found.file is None:
            raise TriptychError(
                f"{where[n]}: its mask {printable(path)} does not exist; correct or remove mask_path"
            )
        result[n] = Mask(found.file, hides="black", empty=frames[n].get("masked") == EMPTY)
    for n, image in enumerate(images):
        beside = None if image is None else image.with_name(f"dynamic_mask_{image.stem}.png")
        if result[n] is None and beside is not None and beside.is_file():
            result[n] = Mask(beside, hides="white")
    return result


def _split_lists(path: Path, content: Mapping[str, Any]) -> tuple[dict[str, str], list[str]]:
    """The split of each path by nerfstudio's `train_filenames` and the like, and what is not used of them."""
    lists = {}
    for name in ("train", "val", "test"):
        given = content.get(f"{name}_filenames")
        if given is not None and not (isinstance(given, list) and all(isinstance(one, str) for one in given)):
            raise TriptychError(f"{path}: {name}_filenames must be a list of paths")
        lists[name] = [_normal(one) for one in given or ()]
    if not any(lists.values()):
        return {}, []
    heldout = lists["test"] or lists["val"]
    splits = dict.fromkeys(heldout, TEST) | dict.fromkeys(lists["train"], TRAIN)
    notes = []
    if unused := set(lists["val"]) - splits.keys():
        notes.append(f"{len(unused)} images of val_filenames are not used: test_filenames has held-out views")
    return splits, notes


def _normal(path: str) -> str:
    return path.replace("\\", "/").removeprefix("./")


def _entries(path: Path, content: Mapping[str, Any]) -> list[dict[str, Any]]:
    frames = content.get("frames")
    if not isinstance(frames, list):
        raise invalid(path, "the key 'frames' is missing" if frames is None else "frames is not a list")
    if len(frames) > MAX_FRAMES:
        raise TriptychError(f"{path}: {len(frames)} frames; at most {MAX_FRAMES} can be read, so list fewer")
    for position, frame in enumerate(frames):
        if not isinstance(frame, dict):
            raise invalid(path, f"frame {position} is not an object")
        if not isinstance(frame.get("file_path"), str) or not frame["file_path"]:
            raise invalid(path, f"the file_path of frame {position} is missing or no text")
    return frames


def read_scene_file(path: str | Path) -> SceneFile:
    """Read one scene file and look for the images and masks that it names, relative to it.
    Raises `TriptychError` if it is missing or malformed, or names a mask that does not exist.
    """
    path = Path(path)
    return scene_of(path, parse_scene_json(path))


def scene_of(path: Path, content: Mapping[str, Any]) -> SceneFile:
    """The scene in the object of a scene file at `path`; see `read_scene_file`."""
    entries = _entries(path, content)
    aabb_scale, world = aabb_scale_of(path, content), world_of(path, content)
    common = {key: value for key, value in content.items() if key != "frames"}
    found = find_listed_files(path.parent, [entry["file_path"] for entry in entries])
    names = [printable(entry["file_path"]) for entry in entries]
    where = [f"{path}, frame {name}" for name in names]
    masks = _masks(path.parent, entries, [one.file for one in found], where)
    splits, notes = _split_lists(path, content)
    if unknown := sorted(splits.keys() - {_normal(entry["file_path"]) for entry in entries}):
        notes.append(
            f"{len(unknown)} paths in the lists of the split belong to no frame "
            f"(first: {printable(unknown[0])})"
        )
    frames = []
    seen: set[Path] = set()
    for position, (entry, one) in enumerate(zip(entries, found, strict=True)):
        split, left_out = entry.get("split"), ""
        if split not in (None, TRAIN, TEST):
            shown = printable(repr(split))
            raise TriptychError(f"{where[position]}: split is {shown}; it must be train or test")
        if split is None and splits:
            split = splits.get(_normal(entry["file_path"]))
            left_out = "" if split else "is in none of the lists of the file's split"
        if one.file is None:
            left_out = "is a URL, which is not opened" if is_url(entry["file_path"]) else "does not exist"
        elif one.file in seen:
            left_out = "is listed twice"
        else:
            seen.add(one.file)
        frames.append(
            Frame(
                name=names[position],
                number=position,
                where=where[position],
                values=common | entry,
                image=None if left_out else one.file,
                mask=masks[position],
                split=split,
                listed=one.listed,
                left_out=left_out,
            )
        )
    elsewhere = [(name, one.file) for name, one in zip(names, found, strict=True) if one.elsewhere]
    if elsewhere:
        notes.append(
            f"{len(elsewhere)} of {len(frames)} images are not where the file says and were found by the end "
            f"of their path (first: {elsewhere[0][0]} is {elsewhere[0][1]})"
        )
    cloud = content.get("ply_file_path")
    clouds = find_listed_files(path.parent, [cloud] if isinstance(cloud, str) and cloud else [])
    ply = clouds[0].file if clouds else None
    return SceneFile((path,), aabb_scale, world, frames, ply, tuple(notes))


def check_images(path: str | Path, content: SceneFile) -> None:
    """Raise `TriptychError` unless there are two images, and all or none of them have a split."""
    listed, used = len(content.frames), content.used
    if len(used) < 2:
        first = next((str(frame.listed) for frame in content.frames if frame.image is None), "")
        tried = f" (tried first: {printable(first)})" if first else ""
        raise TriptychError(
            f"{path}: {len(used)} of {listed} listed images exist{tried}; at least 2 are needed, "
            "so check the file's image folder"
        )
    splits = {frame.split for frame in used}
    if splits not in ({None}, {TRAIN, TEST}):
        raise TriptychError(
            f"{path}: either no image has a split, or each one is train or test and there are both; "
            f"found {', '.join(sorted(str(split) for split in splits))}"
        )
