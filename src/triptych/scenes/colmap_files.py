"""The files of a COLMAP project: its models and its images. For planning: COLMAP itself is not imported."""

import os
from pathlib import Path

from triptych.data.image_files import SUFFIXES
from triptych.scenes.listed_files import OTHER_FOLDERS
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_value
from triptych.workflow.folder_fingerprint import files_fingerprint

MODEL_DEPTH = 4  # of a model below the project's folder
PARTS = ("cameras", "images", "points3D")


def _has_model(folder: Path) -> bool:
    return any(
        all((folder / f"{part}{suffix}").is_file() for part in PARTS[:2]) for suffix in (".bin", ".txt")
    )


def find_models(path: Path) -> list[Path]:
    """The folders of a project that hold a model, .bin or .txt; a `TriptychError` if there is none."""
    if _has_model(path):
        return [path]
    found = []
    for here, folders, _ in os.walk(path, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        if len(Path(here).relative_to(path).parts) >= MODEL_DEPTH:
            folders.clear()
        if _has_model(Path(here)):
            found.append(Path(here))
    if not found:
        hint = "; for a transforms.json say source: transforms" if any(path.glob("transforms*.json")) else ""
        raise TriptychError(
            f"{path}: there is no COLMAP model (cameras and images, .bin or .txt) in it or a sub-folder such "
            f"as sparse/0{hint or '; correct `path`'}"
        )
    return found


def image_root(path: Path) -> Path:
    """The folder that the names of a model's images are relative to: `images` if there is one.

    It is looked for in the project's folder and, if that is the model's own, in those above.
    Raises `TriptychError` if there is no such folder above a model.
    """
    above = [path, *(path.absolute().parents[:3] if _has_model(path) else ())]
    for folder in above:
        if (folder / "images").is_dir():
            return folder / "images"
    if _has_model(path) and not _images_below(path):
        raise TriptychError(
            f"{path}: there is no folder images beside this model; put the images, or a link to them, there"
        )
    return path


def _images_below(root: Path) -> dict[str, Path]:
    files = {}
    for here, folders, names in os.walk(root, followlinks=True):
        parts = Path(here).relative_to(root).parts
        folders[:] = [name for name in folders if not name.startswith(".") and not OTHER_FOLDERS.search(name)]
        if len(parts) >= MODEL_DEPTH:
            folders.clear()
        for name in names:
            if os.path.splitext(name)[1].lower() in SUFFIXES:
                files["/".join((*parts, name))] = Path(here, name)
    return files


def check_colmap(path: str | Path) -> None:
    """Raise `TriptychError` unless there is a model and a folder that may hold its images."""
    find_models(Path(path))
    image_root(Path(path))


def colmap_fingerprint(path: str | Path) -> str:
    """A digest of the files of all models and all images; raises `TriptychError` as `check_colmap` does."""
    path = Path(path)
    names = [f"{part}{suffix}" for part in PARTS for suffix in (".bin", ".txt")]
    model = {
        os.path.relpath(folder / name, path): folder / name
        for folder in find_models(path)
        for name in names
        if (folder / name).is_file()
    }
    images = _images_below(image_root(path))
    return digest_of_value([files_fingerprint(model), files_fingerprint(images)])
