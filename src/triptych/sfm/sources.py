"""The sources of scenes, and checks of their settings, for planning: few imports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.scenes.colmap_files import check_colmap, colmap_fingerprint
from triptych.scenes.known_poses import check_known_poses, poses_fingerprint
from triptych.scenes.scene_files import EMPTY
from triptych.sfm.photographs import photographs_fingerprint
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import files_fingerprint


@dataclass(frozen=True)
class SceneSource:
    """A value of a scene's `source` in the config."""

    film: bool = False  # whether the source is a film, not a folder of images
    known_poses: bool = False  # whether images and poses are imported, without structure from motion
    # the config's default: fraction of its neighbours' sharpness below which a frame is rejected; 0 for a
    # folder, where neighbours may show different things
    reject_below: float = 0.0
    max_frames: int | None = None  # the config's default: number of frames to keep at most; None: all
    # function of the scene's settings whose value changes with the files at `path`; None if it has no `path`
    fingerprint: Callable[[Mapping[str, Any]], str] | None = None
    # function of `path` that raises `TriptychError` if the scene there cannot be imported
    check: Callable[[str], None] | None = None


def masks_inside(settings: Mapping[str, Any]) -> str | None:
    """The folder of a scene's masks, relative to that of its photographs, if it is inside; else None."""
    if settings["path"] is None or settings["masks"] is None:
        return None
    path, masks = (Path(settings[name]).resolve() for name in ("path", "masks"))
    return masks.relative_to(path).as_posix() if path in masks.parents else None


SOURCES = {
    "orbit": SceneSource(film=True, reject_below=0.4, max_frames=500),
    "video": SceneSource(
        film=True,
        reject_below=0.4,
        max_frames=500,
        fingerprint=lambda scene: files_fingerprint({"film": scene["path"]}),
    ),
    "folder": SceneSource(
        fingerprint=lambda scene: photographs_fingerprint(scene["path"], leave_out=masks_inside(scene))
    ),
    "transforms": SceneSource(
        known_poses=True, fingerprint=lambda scene: poses_fingerprint(scene["path"]), check=check_known_poses
    ),
    "colmap": SceneSource(
        known_poses=True, fingerprint=lambda scene: colmap_fingerprint(scene["path"]), check=check_colmap
    ),
}


def check_scene(name: str, settings: Mapping[str, Any]) -> None:
    """Check a scene's settings before the workflow plans anything with it.

    `path`, `masks` and `reference` may be None. Raises `TriptychError` if a path is needed and not given, not
    needed, missing, or of the wrong kind; or a scene of known poses cannot be read.
    """
    where, source, path = f"config: scenes.{name}", settings["source"], settings["path"]
    reference = settings["reference"]
    if reference is not None and not Path(reference).is_file():
        raise TriptychError(
            f"{where}: the reference {reference} does not exist; correct `reference` or leave it out"
        )
    masks = settings["masks"]
    if masks is not None and SOURCES[source].known_poses:
        raise TriptychError(f"{where}: its masks come with the images; leave `masks` out")
    if masks is None and settings["masked"] == EMPTY:
        raise TriptychError(
            f"{where}: masked: empty is about the pixels that `masks` hides; give `masks`, too"
        )
    if masks is not None and not Path(masks).is_dir():
        raise TriptychError(f"{where}: there is no folder {masks}; correct `masks` or leave it out")
    if source == "orbit":
        if path is not None:
            raise TriptychError(
                f"{where}: the orbit scene films itself and has no `path`; did you mean source video?"
            )
        return
    if path is None:
        raise TriptychError(f"{where}: source {source} needs a `path`")
    if not Path(path).exists():
        raise TriptychError(f"{where}: {path} does not exist; correct `path`")
    if source == "video" and Path(path).is_dir():
        raise TriptychError(f"{where}: {path} is a folder; name a film, or use source folder for images")
    if source == "folder" and not Path(path).is_dir():
        raise TriptychError(f"{where}: {path} is not a folder; use source video for a film")
    if source == "colmap" and not Path(path).is_dir():
        raise TriptychError(f"{where}: {path} is not a folder; name the one with sparse/0 and images")
    if (check := SOURCES[source].check) is not None:
        if reference is not None:
            raise TriptychError(f"{where}: its poses come with the images; leave `reference` out")
        try:
            check(path)
        except TriptychError as error:
            raise TriptychError(f"{where}: {error}") from error
