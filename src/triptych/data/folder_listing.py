"""Which images a folder holds, of which class and part, and what else lies there: nothing is decoded."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.data.folder_scan import class_folders, part_folders, skip_siblings, walk
from triptych.data.image_files import SUFFIXES, natural_order, printable
from triptych.data.label_file import PARTS, part_named, read_labels
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value
from triptych.workflow.folder_fingerprint import files_fingerprint

NAMED = 10  # most names in a message
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar")


@dataclass(frozen=True)
class ListedImage:
    """An image: its name relative to the folder, and the index of its class, -1 without labels."""

    name: str
    label: int


@dataclass(frozen=True)
class FolderListing:
    """The images of a folder.

    Attributes:
        root: the folder.
        classes: names of the classes in the order of their indices; none without labels.
        parts: the images of `train`, `validation` and `test`, class by class, each in natural order.
        skipped: names of what is not used, by reason.
        note: how the classes were found, if it is not obvious.
    """

    root: Path
    classes: tuple[str, ...]
    parts: Mapping[str, list[ListedImage]]
    skipped: Mapping[str, list[str]] = field(default_factory=dict)
    note: str = ""

    def contents(self) -> str:
        """Hex digest of the contents of all images, and of their names, classes and parts.

        Nothing else in the folder counts, nor where it is.
        """
        images = [image for part in self.parts.values() for image in part]
        files = files_fingerprint({image.name: f"{self.root}/{image.name}" for image in images})
        parts = {part: [(image.name, image.label) for image in found] for part, found in self.parts.items()}
        return digest_of_value({"files": files, "classes": self.classes, "parts": parts})

    def train_files(self) -> list[Path]:
        """The training images."""
        return [self.root / image.name for image in self.parts["train"]]

    def skipped_line(self) -> str:
        """What is not used: `2 skipped: hidden files (2): train/a/.x.png, ...`; empty if there is nothing."""
        if not self.skipped:
            return ""
        total = sum(map(len, self.skipped.values()))
        reasons = [f"{reason} ({len(names):,}): {some(names)}" for reason, names in self.skipped.items()]
        return f"{total:,} skipped: {'; '.join(reasons)}"


def list_folder(path: str | Path, labels: str = "auto") -> FolderListing:
    """List an image folder.

    The images lie in `train/` or in the folder itself; `val/` (`valid/`, `validation/`) and `test/` beside
    `train/` are the other parts. Names of these folders may have capitals.

    Args:
        path: the folder.
        labels: `folders`: each folder directly in a part is a class, with everything below it, as
            torchvision's ImageFolder reads it; `none`: no labels; `auto`: folders if there are two or more,
            else none; anything else: a csv file, relative to the folder, with the columns file and label
            (see `read_labels`).

    Raises:
        TriptychError: no images, or a folder that may not be read; classes without images and those that
            `train/` lacks, a line for each.
    """
    root = Path(path)
    if not root.is_dir():
        problem = "does not exist; correct `path` or choose another `source`"
        if root.exists():
            archive = root.suffix.lower() in ARCHIVES
            problem = "is an archive; unpack it and give" if archive else "is a file; give"
            problem += " the folder of the images as `path`"
        raise TriptychError(f"{root} {problem}")
    folders = part_folders(root)
    if labels not in ("auto", "folders", "none"):
        return _by_label_file(root, folders, labels)
    skipped: dict[str, list[str]] = {}
    if "train" in folders:
        skip_siblings(root, folders, skipped)
    elif folders:
        raise TriptychError(f"{next(iter(folders.values()))} has no folder train/ beside it; add it")
    else:
        folders = {"train": root}
    found = {part: walk(folder, root, skipped) for part, folder in folders.items()}
    if not found["train"]:
        raise TriptychError(
            f"{folders['train']} has no images (types: {' '.join(SUFFIXES)})"
            + (f"; {FolderListing(root, (), {}, skipped).skipped_line()}" if skipped else "")
        )
    groups = class_folders(folders["train"])
    if labels == "none" or (labels == "auto" and len(groups) < 2):
        inside = "" if folders["train"] == root else f"{folders['train'].name}/"
        why = "" if labels == "none" else f"{inside or 'the folder'} has no folders of classes"
        if labels == "auto" and groups:
            why = f"{inside}{printable(groups[0])} is the only folder; classes need two"
        if "validation" in found:
            skipped["validation images without labels"] = found.pop("validation")
        parts = {part: [ListedImage(name, -1) for name in names] for part, names in found.items()}
        return FolderListing(root, (), parts, skipped, why)
    return _by_folders(root, folders, found, groups, skipped)


def _by_folders(
    root: Path,
    folders: Mapping[str, Path],
    found: Mapping[str, list[str]],
    classes: list[str],
    skipped: dict[str, list[str]],
) -> FolderListing:
    """The listing whose classes are the folders of `train/`."""
    if len(classes) < 2:
        found_there = f"one class only ('{classes[0]}')" if classes else "no folders of classes"
        raise TriptychError(
            f"{folders['train']} has {found_there}; there must be two or more, or choose labels: none"
        )
    index = {name: number for number, name in enumerate(classes)}
    parts, problems = {}, []
    for part, names in found.items():
        folder, depth = folders[part], len(folders[part].relative_to(root).parts)
        here = class_folders(folder)
        problems += [
            TriptychError(
                f"{folder / name} is a class that {folders['train']} lacks; add it there, or remove it"
            )
            for name in here
            if name not in index
        ]
        images = []
        for name in names:
            if (above := name.split("/")[depth:-1]) and above[0] in index:
                images.append(ListedImage(name, index[above[0]]))
            elif not above:
                skipped.setdefault("images outside of the class folders", []).append(name)
        full = {classes[image.label] for image in images}
        problems += [
            TriptychError(
                f"{folder / name} has no images ({' '.join(SUFFIXES)}); remove the folder or fill it"
            )
            for name in here
            if name in index and name not in full
        ]
        parts[part] = sorted(images, key=lambda image: image.label)
    if problems:
        raise TriptychError("\n".join(map(str, problems)))
    return FolderListing(root, tuple(map(printable, classes)), parts, skipped)


def _by_label_file(root: Path, folders: Mapping[str, Path], file: str) -> FolderListing:
    """The listing whose classes come from a csv file."""
    skipped: dict[str, list[str]] = {}
    path = root / file
    given_labels = read_labels(path)
    names = walk(root, root, skipped)
    others = "files of other types"
    skipped[others] = [name for name in skipped.get(others, []) if not (root / name).samefile(path)]
    there, labelled, missing = set(names), {}, []
    for given, (label, part) in given_labels.items():
        name = os.path.relpath(given, root) if os.path.isabs(given) else os.path.normpath(given)
        if name not in there:
            name = name.replace("\\", "/")  # written on Windows
        if name not in there and "train" in folders:
            name = f"{folders['train'].name}/{name}"
        if name in labelled:
            raise TriptychError(f"{path} names {printable(name)} twice; remove one of the lines")
        if name in there:
            labelled[name] = label, part or part_named(Path(name).parts[0]) or "train"
        else:
            missing.append(given)
    if missing:
        raise TriptychError(
            f"{path} names {counted(len(missing), 'image')} not in {root}: {some(missing)}; give names "
            "relative to that folder, or remove the lines"
        )
    classes = sorted({label for label, _ in labelled.values()}, key=natural_order)
    if len(classes) < 2:
        raise TriptychError(
            f"{path} has {counted(len(classes), 'different label')}; there must be two or more"
        )
    skipped["without a label"] = [name for name in names if name not in labelled]
    index = {name: number for number, name in enumerate(classes)}
    parts: dict[str, list[ListedImage]] = {part: [] for part in PARTS}
    for name in names:
        if name in labelled:
            label, part = labelled[name]
            parts[part].append(ListedImage(name, index[label]))
    for part, images in parts.items():
        images.sort(key=lambda image: image.label)
        unknown = {image.label for image in images} - {image.label for image in parts["train"]}
        if unknown:
            name = classes[min(unknown)]
            raise TriptychError(f"{path}: class '{name}' has {part} images and no training images; add some")
    return FolderListing(root, tuple(classes), _filled(parts), _filled(skipped))


def _filled(lists: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Without the empty ones."""
    return {name: items for name, items in lists.items() if items}


def counted(count: int, noun: str) -> str:
    """`1 image`, `2,000 images`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def some(names: Iterable[str]) -> str:
    """The first names, and how many more, in one line."""
    names = [" ".join(printable(name).split()) for name in names]
    more = f", and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
