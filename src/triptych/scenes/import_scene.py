"""Import of images with known poses, into the same files that structure from motion writes."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from triptych.data.image_files import UnreadableImage, plain_name, unreadable_images
from triptych.scenes.colmap_export import colmap_model, write_model
from triptych.scenes.colmap_scene import read_colmap_scene
from triptych.scenes.import_frame import import_frame
from triptych.scenes.known_poses import read_known_poses
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.scenes.scene_files import Frame, SceneFile
from triptych.scenes.sparse_points import SparsePoints, read_points
from triptych.scenes.write_scene import write_scene_file
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, atomic_path
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

WITHOUT_POINTS = "export/cloud.ply"  # the cloud of the trained field, which a later job writes


def _names(frames: Sequence[Frame]) -> list[str]:
    """A name without suffix for each frame: its image's, or numbers for all if two images share one."""
    names = [
        plain_name(Path(frame.name).stem if frame.image is None else frame.image.stem) for frame in frames
    ]
    present = [name.casefold() for name, frame in zip(names, frames, strict=True) if frame.image is not None]
    if len(set(present)) == len(present):
        return names
    return [f"{frame.split or 'frame'}_{frame.number:04d}" for frame in frames]


def _read(source: Path, *, colmap: bool) -> tuple[SceneFile, SparsePoints | None]:
    """The scene, and its points if it has any that can be read."""
    if colmap:
        return read_colmap_scene(source)
    content = read_known_poses(source)
    try:
        return content, read_points(content.cloud) if content.cloud else None
    except TriptychError as error:
        log.warning("%s; the scene is imported without points", error)
        return content, None


def import_scene(
    source: str | Path,
    *,
    transforms: str | Path,
    frames: str | Path,
    manifest: str | Path,
    model: str | Path,
    cloud: str | Path,
    colmap: bool = False,
    aabb_scale: int | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Copy a scene, so that later steps need no file outside the results.

    Images keep their names unless two share one; then all are named `train_`, `test_` or `frame_` and their
    number, from 0 in the order of their file. What is listed and not used is named in a warning. Lenses that
    the radiance field does not have are undistorted.

    Args:
        source: see `read_known_poses` and `read_colmap_scene`, which say what is raised.
        frames: the folder of images to write, called `frames`, with masks (black is ignored) in `masks/`.
        manifest: frames.csv, with one row per listed image, without time and sharpness.
        cloud: the PLY file to write, with the source's points; it may be without any.
    """
    source = Path(source)
    content, points = _read(source, colmap=colmap)
    entries: list[dict[str, Any]] = []
    rows: list[ManifestRow] = []
    done: Counter[str] = Counter()
    unreadable: list[UnreadableImage] = []
    masked = any(frame.mask for frame in content.used)
    with (
        atomic_folder(frames) as temporary,
        Progress(len(content.frames), "copying images", unit="image") as progress,
    ):
        for number, (frame, name) in enumerate(zip(content.frames, _names(content.frames), strict=True)):
            if frame.image is None:
                rows.append(ManifestRow(number, "", status=f"{frame.name} {frame.left_out}"))
            else:
                try:
                    entry = import_frame(
                        *(frame, frame.image, temporary, name), world=content.world, masked=masked, done=done
                    )
                except UnreadableImage as error:
                    unreadable.append(error)
                    continue
                entries.append(entry)
                rows.append(ManifestRow(number, Path(entry["file_path"]).name))
            progress.update()
        if unreadable:
            folder = source if source.is_dir() else source.parent
            raise unreadable_images(
                unreadable, len(content.used), folder=folder, unit="images", remedy="replace them"
            )
        write_manifest(manifest, rows)
    content.log_notes(source)
    for what, count in done.items():
        log.warning("%s: %d of %d images %s", source, count, len(entries), what)
    made = colmap_model(entries, points)
    write_model(made, model)
    with atomic_path(cloud) as temporary:
        made.export_PLY(temporary)
    write_scene_file(
        transforms,
        entries,
        aabb_scale=aabb_scale or content.aabb_scale,
        world=content.world,
        cloud=Path(cloud).name if points else WITHOUT_POINTS,
        provenance=provenance,
    )
