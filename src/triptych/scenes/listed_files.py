"""Where the files are that a scene file lists: at the listed path, or elsewhere below the scene's folder.

Scene files are moved between machines, systems and folders, and their paths with them. A path is looked up
as its own program would do it; if there is no such file, the folder of images is identified by the end of
the path, if only one folder fits.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from triptych.data import image_files
from triptych.workflow.errors import printable as printable

SUFFIXES = tuple(dict.fromkeys((".png", *image_files.SUFFIXES)))  # NeRF's scenes leave out .png
SEARCH_DEPTH, SEARCH_FILES = 5, 200_000  # limits of the search below the scene's folder
# Folders with files of the same names that are not the images, or not those of this split.
OTHER_FOLDERS = re.compile(r"mask|depth|normal|conf|segment|semantic|thumb|^(train|val|test)$", re.IGNORECASE)

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Found:
    """Where a listed file is."""

    listed: Path  # the first path that was tried
    file: Path | None  # the file, or None if there is none
    elsewhere: bool = False  # whether it is not at the listed path


def is_url(listed: str) -> bool:
    """Whether a listed path names a place on the network, which is never opened."""
    return "://" in listed or listed.startswith("data:")


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long, or not a path at all
        return False


def _at_listed_path(folder: Path, listed: str) -> Path | None:
    path = folder / listed
    if _is_file(path):
        return path
    if not path.name or path.suffix.lower() in SUFFIXES:
        return None
    suffixes = (case for suffix in SUFFIXES for case in (suffix, suffix.upper()))
    candidates = (path.with_name(path.name + suffix) for suffix in suffixes)
    return next(filter(_is_file, candidates), None)


def _walk(folder: Path) -> Iterator[tuple[Parts, str]]:
    """Folder, as parts below the scene's, and name of each file; hidden ones left out."""
    for here, folders, names in os.walk(folder, followlinks=True):
        parts = Path(here).relative_to(folder).parts
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(parts) >= SEARCH_DEPTH:
            folders.clear()
        yield from ((parts, name) for name in names if not name.startswith("."))


class _Folders:
    """The files below a scene's folder, by folder and by name in lower case, with and without suffix."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: dict[Parts, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
        for _, (parts, name) in zip(range(SEARCH_FILES), _walk(root), strict=False):
            stem, suffix = os.path.splitext(name.casefold())
            for key in {name.casefold(), stem} if suffix in SUFFIXES else {name.casefold()}:
                self.files[parts][key].append(root.joinpath(*parts, name))

    def get(self, parts: Parts, name: str) -> Path | None:
        """The file of this name in a folder, if there is one and no other of the same name in lower case."""
        files = self.files[parts].get(name.casefold(), [])
        same = [file for file in files if file.name == name]
        return (same or files)[0] if len(same or files) == 1 else None

    def best(self, parent: Parts, names: Sequence[str], *, relative: bool, exists: bool) -> Parts | None:
        """The folder that a listed folder means, or None if none or several fit.

        `names` are listed in it; with `exists`, others of its files are there. `relative`: to the scene's
        folder.
        """
        wanted = _casefold(parent)
        holding = [parts for parts in self.files if any(self.get(parts, name) for name in names)]
        same = [parts for parts in holding if _casefold(parts) == wanted]
        if exists or len(same) == 1:
            return same[0] if len(same) == 1 else None
        above = self.root.absolute().parts
        tails = {parts: _common_tail(_casefold(above + parts), wanted) for parts in holding}
        if parent and relative:  # another folder is meant: images/1.png is not masks/1.png
            tails = {parts: tail for parts, tail in tails.items() if tail}
        tails = {
            parts: tail
            for parts, tail in tails.items()
            if tail or not any(OTHER_FOLDERS.search(part) for part in parts)
        }
        longest = [parts for parts, tail in tails.items() if tail == max(tails.values())]
        return longest[0] if len(longest) == 1 else None


def _casefold(parts: Parts) -> Parts:
    return tuple(part.casefold() for part in parts)


def _common_tail(one: Parts, other: Parts) -> int:
    """How many parts at the end of two paths agree."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count


def find_listed_files(folder: Path, listed: Sequence[str]) -> list[Found]:
    """Look up the listed paths of a scene file in `folder`; backslashes separate like slashes.

    One result per path. A suffix may be missing or in another case. URLs are not opened.
    """
    plain = [path.replace("\\", "/") for path in listed]
    direct = [None if is_url(path) else _at_listed_path(folder, path) for path in plain]
    result = [Found(folder / path, file) for path, file in zip(plain, direct, strict=True)]
    groups: dict[str, list[int]] = defaultdict(list)
    for number, (path, file) in enumerate(zip(plain, direct, strict=True)):
        if file is None and not is_url(path) and "\0" not in path:
            groups[path.rpartition("/")[0]].append(number)
    existing = {path.rpartition("/")[0] for path, file in zip(plain, direct, strict=True) if file}
    if not groups:
        return result
    folders = _Folders(folder)
    for parent, numbers in groups.items():
        drive = re.match(r"[a-zA-Z]:", parent)
        parts = tuple(part for part in PurePosixPath(parent).parts if part not in ("/", ".", ".."))
        if drive:
            parts = parts[1:]
        names = [PurePosixPath(plain[number]).name for number in numbers]
        relative = not drive and not parent.startswith("/") and ".." not in parent
        place = folders.best(parts, names, relative=relative, exists=parent in existing)
        if place is not None:
            for number, name in zip(numbers, names, strict=True):
                file = folders.get(place, name)
                result[number] = Found(result[number].listed, file, elsewhere=file is not None)
    return result
