"""Scenes with known poses: which files of a folder describe the scene, and when they changed."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych.scenes.phone_captures import polycam_scene, record3d_scene
from triptych.scenes.scene_files import TEST, TRAIN, SceneFile, check_images, read_scene_file, scene_of
from triptych.scenes.scene_json import parse_scene_json
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value, read_json, write_json
from triptych.workflow.folder_fingerprint import files_fingerprint
from triptych.workflow.records import RECORDS

SINGLE = "transforms.json"
SPLITS = ("transforms_train.json", "transforms_test.json", "transforms_val.json")
LISTINGS = RECORDS / "scene_files.json"  # by path: the state of its JSON files, and the files that they list


def _read_file(path: Path) -> SceneFile:
    """One scene file, or the metadata of a Record3D capture."""
    content = parse_scene_json(path)
    if "frames" not in content and {"poses", "K"} <= content.keys():
        return record3d_scene(path, content)
    return scene_of(path, content)


def _read_folder(folder: Path) -> SceneFile:
    present = [name for name in SPLITS if (folder / name).is_file()]
    if SPLITS[0] in present and len(present) > 1:
        return _read_pair(folder, *present)
    if (folder / SINGLE).is_file():
        return _read_file(folder / SINGLE)
    if present:
        content = read_scene_file(folder / present[0])
        notes = [f"{name} is not used: without {SPLITS[0]} one file is read" for name in present[1:]]
        return replace(content, notes=(*content.notes, *notes))
    if (polycam := polycam_scene(folder)) is not None:
        return polycam
    others = sorted(folder.glob("metadata.json")) or sorted(folder.glob("*.json"))
    if len(others) == 1:
        return _read_file(others[0])
    hint = ""
    if below := sorted({path.parent for path in folder.glob("*/transforms*.json")}):
        hint = f"; did you mean {below[0]}?"
    elif any(any(folder.glob(pattern)) for pattern in ("cameras.*", "**/sparse/**/cameras.*")):
        hint = "; for COLMAP's models say source: colmap"
    raise TriptychError(
        f"{folder}: there is no {SINGLE} and no {SPLITS[0]} and {SPLITS[1]} in it{hint or '; correct `path`'}"
    )


def _read_pair(folder: Path, *names: str) -> SceneFile:
    """The training file, and the first of the others, whose images are held out."""
    train, test = (read_scene_file(folder / name) for name in names[:2])
    boxes = [(one.aabb_scale, one.world.scale, one.world.offset.tolist()) for one in (train, test)]
    if boxes[0] != boxes[1]:
        raise TriptychError(f"{folder}: its two files differ in aabb_scale, scale or offset; make them agree")
    notes = [*train.notes, *test.notes]
    notes += [f"{name} is not used: the held-out images are those of {names[1]}" for name in names[2:]]
    if (folder / SINGLE).is_file():
        notes.append(f"{SINGLE} is not used: {names[0]} and {names[1]} are preferred")
    splits: tuple[str | None, str | None] = (TRAIN, TEST)
    if not (train.used and test.used):
        empty, other = names[:2] if test.used else names[1::-1]
        notes.append(f"no image of {empty} exists, so images of {other} are held out by the knob holdout")
        splits = (None, None)
    elif both := {frame.image for frame in train.used} & {frame.image for frame in test.used}:
        notes.append(f"{len(both)} images are in both files, so they are not held out")
    frames = [
        replace(frame, split=split)
        for split, content in zip(splits, (train, test), strict=True)
        for frame in content.frames
    ]
    return replace(train, paths=(*train.paths, *test.paths), frames=frames, notes=tuple(notes))


def read_known_poses(path: str | Path) -> SceneFile:
    """Read a scene whose poses are known.

    The path is that of a scene file, of the `metadata.json` of a Record3D capture, or of a folder with one of
    these, with `keyframes/` of a raw Polycam capture, or with `transforms_train.json` and
    `transforms_test.json` (or `transforms_val.json`), which are preferred and give the split. Raises
    `TriptychError` if there is no file, one is malformed, the two differ in their coordinates, or there are
    not enough images.
    """
    path = Path(path)
    if not path.exists():
        raise TriptychError(f"{path} does not exist; correct `path`")
    content = _read_file(path) if path.is_file() else _read_folder(path)
    check_images(path, content)
    return content


def _state(path: Path) -> dict[str, list[int]]:
    """Size and time of the JSON files that may describe a scene."""
    files = [path] if path.is_file() else [*path.glob("*.json"), *path.glob("keyframes/*/*.json")]
    return {str(file): [file.stat().st_size, file.stat().st_mtime_ns] for file in sorted(files)}


def _listing(path: Path) -> list[str]:
    """The files that a scene consists of; some, such as masks, may not exist.

    Scene files are parsed once, not whenever the workflow is planned, unless an image was missing then.
    """
    key, state = str(path.absolute()), _state(path)
    try:
        known: dict[str, Any] = read_json(LISTINGS)
        entry = known.get(key, {})
    except (OSError, ValueError, AttributeError):
        known, entry = {}, {}
    if state and entry.get("state") == state and all(map(os.path.isfile, entry["images"])):
        return [*entry["files"], *entry["images"]]
    content = read_known_poses(path)
    images = [frame.image for frame in content.used if frame.image is not None]
    masks = [frame.mask.file for frame in content.frames if frame.mask is not None]
    beside = [image.with_name(f"dynamic_mask_{image.stem}.png") for image in images]
    files = sorted({str(file) for file in (*content.paths, *masks, *beside, content.cloud) if file})
    entry = {"state": state, "files": files, "images": [str(image) for image in images]}
    if RECORDS.is_dir() and not any(frame.left_out for frame in content.frames):
        write_json(LISTINGS, {**known, key: entry})
    return [*files, *entry["images"]]


def check_known_poses(path: str | Path) -> None:
    """Raise `TriptychError`, as `read_known_poses` does, unless the scene can be read."""
    _listing(Path(path))


def poses_fingerprint(path: str | Path) -> str:
    """A digest of all files of the scene, and no other; raises `TriptychError` as `read_known_poses` does."""
    path = Path(path)
    files = {file: Path(file) for file in _listing(path)}
    root = path if path.is_dir() else path.parent
    present = {os.path.relpath(name, root): file for name, file in files.items() if file.is_file()}
    return digest_of_value([sorted(present), files_fingerprint(present)])
