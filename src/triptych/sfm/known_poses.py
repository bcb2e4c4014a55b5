"""Scenes whose poses are known: which files they consist of. Light on imports.

Either one scene file for all images, or a pair that tells training from testing, as the
synthetic scenes of NeRF (Mildenhall et al. 2020) have it.
"""

import os
from dataclasses import replace
from pathlib import Path

from triptych.scenes.transforms_file import TEST, TRAIN, TransformsFile, check_splits, read_transforms
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value

ALL = "transforms.json"
PAIR = {TRAIN: "transforms_train.json", TEST: "transforms_test.json"}


def _scene_files(path: Path) -> list[TransformsFile]:
    if path.is_file():
        return [read_transforms(path)]
    if not path.is_dir():
        raise TriptychError(f"{path} does not exist; correct `path`")
    pair = {split: path / name for split, name in PAIR.items()}
    there = [file.is_file() for file in pair.values()]
    if all(there):
        parts = [(split, read_transforms(file)) for split, file in pair.items()]
        return [
            replace(part, frames=[replace(frame, split=split) for frame in part.frames])
            for split, part in parts
        ]
    if (path / ALL).is_file():
        return [read_transforms(path / ALL)]
    if any(there):
        raise TriptychError(f"{path}: there is only one of {' and '.join(PAIR.values())}; add the other")
    raise TriptychError(f"{path}: there is no {ALL} and no {' and '.join(PAIR.values())} in it")


def read_known_poses(path: str | Path) -> list[TransformsFile]:
    """The scene file, or the pair of training and test file whose frames get their split from it.

    Args:
        path: a scene file, or a folder with `transforms.json`, or with `transforms_train.json` and
            `transforms_test.json`, which are preferred.

    Raises:
        TriptychError: there is none, one is malformed, the two disagree about the world, or there are
            not enough images.
    """
    files = _scene_files(Path(path))
    worlds = [(file.aabb_scale, file.scale, file.offset) for file in files]
    if worlds[0] != worlds[-1]:
        raise TriptychError(f"{path}: its two files differ in aabb_scale, scale or offset; make them agree")
    frames = [frame for file in files for frame in file.frames]
    present = [frame for frame in frames if frame.image is not None]
    if len(present) < 2:
        raise TriptychError(
            f"{path}: {len(present)} of {len(frames)} listed images exist; at least 2 are needed, "
            "so check the image folder beside the file"
        )
    check_splits(path, present)
    return files


def poses_fingerprint(path: str | Path) -> str:
    """Changes when a file of the scene is added, removed or edited, whatever else lies beside them.

    Raises:
        TriptychError: see `read_known_poses`.
    """
    files = read_known_poses(path)
    used = [file.path for file in files]
    for frame in (frame for file in files for frame in file.frames):
        used += [frame.image] if frame.image is not None else []
        used += [frame.mask.file] if frame.mask is not None else []
    status = [(os.path.relpath(file, files[0].path.parent), file.stat()) for file in used]
    return digest_of_value([(name, one.st_size, one.st_mtime_ns) for name, one in status])
