"""The sources of scenes, and checks of their settings, for planning: few imports."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.scenes.scene_files import poses_fingerprint, read_known_poses
from triptych.workflow.errors import TriptychError
from triptych.workflow.folder_fingerprint import folder_fingerprint


@dataclass(frozen=True)
class SceneSource:
    """A value of a scene's `source` in the config.

    Attributes:
        film: whether the source is a film, not a folder of images.
        known_poses: whether images and poses are imported, without structure from motion.
        reject_below: the config's default: fraction of its neighbours' sharpness below which a frame is
            rejected; 0 for a folder, where neighbours may show different things.
        fingerprint: function of `path` whose value changes with the files there; None for a single file.
    """

    film: bool = False
    known_poses: bool = False
    reject_below: float = 0.0
    fingerprint: Callable[[str], str] | None = None


SOURCES = {
    "orbit": SceneSource(film=True, reject_below=0.4),
    "video": SceneSource(film=True, reject_below=0.4),
    "folder": SceneSource(fingerprint=folder_fingerprint),
    "transforms": SceneSource(known_poses=True, fingerprint=poses_fingerprint),
}


def check_scene(name: str, settings: Mapping[str, Any]) -> None:
    """Check a scene's settings before the workflow plans anything with it.

    Args:
        name: the scene's name in the config.
        settings: `source` (a key of `SOURCES`), `path` and `reference`, either of which may be None.

    Raises:
        TriptychError: a path is needed and not given, not needed, missing, or of the wrong kind; or a
            scene of known poses cannot be read.
    """
    where, source, path = f"config: scenes.{name}", settings["source"], settings["path"]
    reference = settings["reference"]
    if reference is not None and not Path(reference).is_file():
        raise TriptychError(
            f"{where}: the reference {reference} does not exist; correct `reference` or leave it out"
        )
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
    if source == "transforms":
        if reference is not None:
            raise TriptychError(f"{where}: its poses are those of the file; leave `reference` out")
        try:
            read_known_poses(path)
        except TriptychError as error:
            raise TriptychError(f"{where}: {error}") from error
