"""What lies in a folder of images: the folders of its parts and classes, the images, and all else."""

import os
from collections.abc import Mapping
from pathlib import Path

from triptych.data.image_files import SUFFIXES, natural_order, printable
from triptych.data.label_file import part_named
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import is_hidden

HIDDEN_FOLDERS = "hidden folders"


def part_folders(root: Path) -> dict[str, Path]:
    """The folders of the parts, by part."""
    result: dict[str, Path] = {}
    for entry in entries(root):
        part = part_named(entry.name) if entry.is_dir() else None
        if part in result:
            raise TriptychError(
                f"{root} has {result[part].name}/ and {entry.name}/, which mean the same; leave one of them"
            )
        if part:
            result[part] = Path(entry.path)
    return result


def skip_siblings(root: Path, folders: Mapping[str, Path], skipped: dict[str, list[str]]) -> None:
    """Note what lies beside `train/` and is not read."""
    for entry in entries(root):
        if Path(entry.path) in folders.values():
            continue
        if entry.is_dir() and is_hidden(entry.name):
            skipped.setdefault(HIDDEN_FOLDERS, []).append(printable(entry.name))
        elif entry.is_dir():
            images = walk(Path(entry.path), root, {})
            skipped[f"in {printable(entry.name)}/, which is not read"] = images or [entry.name]
        else:
            skipped.setdefault("beside the folders", []).append(printable(entry.name))


def class_folders(folder: Path) -> list[str]:
    """Names of the folders of classes, in natural order: those that are not hidden."""
    return [entry.name for entry in entries(folder) if entry.is_dir() and not is_hidden(entry.name)]


def walk(folder: Path, root: Path, skipped: dict[str, list[str]]) -> list[str]:
    """Names, relative to `root`, of all images below a folder in natural order; notes what is skipped.

    Links to folders are followed, but not to a folder above.
    """
    images: list[str] = []

    def visit(here: str, prefix: str, above: frozenset[str]) -> None:
        above |= {os.path.realpath(here)}
        for entry in entries(here):
            name = prefix + entry.name
            hidden = is_hidden(entry.name)
            if entry.is_dir():
                if entry.is_symlink() and os.path.realpath(entry.path) in above:
                    reason = "links to a folder above"
                elif hidden:
                    reason = HIDDEN_FOLDERS
                else:
                    visit(entry.path, f"{name}/", above)
                    continue
            elif hidden:
                reason = "hidden files"
            elif not entry.is_file():
                reason = "links to nothing"
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                images.append(name)
                continue
            else:
                reason = "files of other types"
            skipped.setdefault(reason, []).append(printable(name))

    relative = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    visit(str(folder), relative, frozenset())
    return images


def entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies directly in a folder, in natural order."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: natural_order(entry.name))
    except OSError as error:
        raise TriptychError(f"{folder}: cannot be listed ({error.strerror}); check it") from error
