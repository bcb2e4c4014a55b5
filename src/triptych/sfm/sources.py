"""What the workflow must know of a scene's source before anything runs. Light on imports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from triptych.sfm.known_poses import read_known_poses
from triptych.workflow.errors import TriptychError


def check_scene(name: str, settings: Mapping[str, Any]) -> None:
    """Find out whether a scene can be made at all, before the workflow plans anything with it.

    Args:
        name: of the scene in the config.
        settings: `source` (video, folder, transforms or orbit), `path` and `reference`, either of
            which is None if it is not given.

    Raises:
        TriptychError: a path that is needed and not given, not needed, missing, or of the wrong kind; a
            scene of known poses that cannot be read.
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
