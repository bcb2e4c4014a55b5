"""Downloads and packed data sets that all studies share: `cache/` in the project, or `compute.cache`.

A study has hard links to the files, or copies on another file system: the folder may be deleted at any time
and a study moved. What lies there is checked when it is used.
"""

import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from triptych.data.packed import ARRAYS, arrays_digest, identity
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import hash_mismatch, read_json, remove_temporaries, scratch_folder, write_json
from triptych.workflow.locks import locked
from triptych.workflow.tracked_code import SOURCE_ROOT

log = logging.getLogger("triptych")

LARGE = 2**30  # bytes; larger packs are removed when no study uses them


def shared_folder(config: Mapping[str, Any]) -> Path:
    """The folder that the config names."""
    return Path(config["compute"]["cache"] or SOURCE_ROOT.parent / "cache")


def share_file(shared: Path, target: Path, hashes: Mapping[str, str], make: Callable[[], None]) -> None:
    """Take a file from the shared folder, or make it and keep it there.

    Args:
        shared: its place in the shared folder.
        target: its place in the study.
        hashes: `{algorithm: hex digest}`, which it must have.
        make: makes `target`.
    """
    if shared.is_file():
        problem = hash_mismatch(shared, hashes)
        if problem is None:
            log.info("%s is taken from %s", target, shared)
            return link_files([shared], target.parent)
        log.warning("%s is damaged (%s); it is not used", shared, problem)
    make()
    _keep([target], shared.parent)


def share_pack(shared: Path, folder: Path, *, name: str, path: str | None, make: Callable[[], None]) -> None:
    """Take a packed data set from the shared folder, or pack it and keep it there.

    Args:
        shared: its place in the shared folder, named by a digest of all that decides its files.
        folder: its place in the study.
        name: name of the data set in this study.
        path: where its source lies, if it has a path.
        make: packs it into `folder`.
    """
    description = _usable(shared)
    if description is None:
        make()
        _keep(_visible(folder), shared)
        return _remove_unused(shared.parent)
    summary = description["source"].get("summary", "packed already")
    log.info("%s is taken from %s: %s", name, shared, summary)
    link_files([file for file in _visible(shared) if file.name != "dataset.json"], folder)
    source = description["source"] | ({"path": path} if path else {})
    write_json(folder / "dataset.json", description | {"name": name, "source": source})


def _visible(folder: Path) -> list[Path]:
    return [file for file in folder.iterdir() if not file.name.startswith(".")]


def link_files(files: Iterable[Path], folder: Path) -> None:
    """Link files into a folder, or copy them if it is on another file system; replaces what is there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        with scratch_folder(folder / file.name) as temporary:
            link = temporary / file.name
            try:
                os.link(file, link)
            except OSError:
                shutil.copyfile(file, link)
            os.replace(link, folder / file.name)


def _keep(files: Sequence[Path], folder: Path) -> None:
    """Link files into the shared folder; a failure costs nothing but time later."""
    try:
        with locked(folder / ".lock", str(folder)):
            for file in files:
                remove_temporaries(folder / file.name)
            link_files(files, folder)
    except (OSError, TriptychError) as error:
        log.info("not kept for other studies: %s", error)


def _usable(shared: Path) -> dict[str, Any] | None:
    """`dataset.json` of a shared pack if all its files are as they were packed."""
    try:
        description: dict[str, Any] = read_json(shared / "dataset.json")
        arrays = {key: np.load(shared / f"{key}.npy", mmap_mode="r") for key in ARRAYS}
        if (shared / "digest.txt").read_text() != identity(description):
            raise ValueError("digest.txt does not belong to it")
        if arrays_digest(arrays) != description["digest"]:
            raise ValueError("an array has changed")
        return description
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, KeyError) as error:
        log.warning("%s is damaged (%s); it is not used", shared, error)
    return None


def _remove_unused(packs: Path) -> None:
    """Remove large packs that no study links to any more, such as those of earlier versions of a folder."""
    for pack in packs.iterdir() if packs.is_dir() else []:
        status = [file.stat() for file in pack.iterdir()]
        if all(file.st_nlink == 1 for file in status) and sum(file.st_size for file in status) > LARGE:
            shutil.rmtree(pack)
