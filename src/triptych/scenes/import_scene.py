"""Import of images with known poses, into the same files that structure from motion writes."""

import logging
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from triptych.data.image_files import load_image, plain_name, to_8_bits
from triptych.scenes.calibration import intrinsics, pose
from triptych.scenes.images import check_mask, read_mask
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.scenes.scene_files import Frame, read_known_poses
from triptych.workflow.files import atomic_folder, write_json
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

LENS = (
    *("camera_model", "is_fisheye", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy"),
    *("w", "h", "k1", "k2", "k3", "k4", "p1", "p2"),
)
MASKS = "masks"


def _names(frames: list[Frame]) -> list[str]:
    """A name without suffix for each frame: its image's, or numbers for all if two images share one."""
    names = [
        plain_name(Path(frame.name).stem if frame.image is None else frame.image.stem) for frame in frames
    ]
    present = [name for name, frame in zip(names, frames, strict=True) if frame.image is not None]
    if len(set(present)) == len(present):
        return names
    return [f"{frame.split or 'frame'}_{frame.number:04d}" for frame in frames]


def _copy_image(source: Path, image: Image.Image, folder: Path, name: str) -> str:
    """Copy an image; what is neither JPEG nor PNG of 8 bits is converted. Returns the file's name."""
    if image.format in ("JPEG", "PNG") and image.mode in ("L", "RGB", "RGBA"):
        shutil.copyfile(source, folder / (name + source.suffix))
        return name + source.suffix
    to_8_bits(image).save(folder / f"{name}.png", compress_level=3)
    return f"{name}.png"


def _import_frame(frame: Frame, source: Path, folder: Path, name: str, *, url: str) -> dict[str, Any]:
    """Check a frame, copy its image and mask to `folder`, and return its entry of the new scene file.

    Args:
        frame: the frame.
        source: its image.
        folder: the folder of the copies.
        name: the copy's name, without suffix.
        url: the folder's path, relative to the new scene file.
    """
    image = load_image(source)
    intrinsics(frame, image.size, 1)
    pose(frame)
    entry: dict[str, Any] = {"file_path": f"{url}/{_copy_image(source, image, folder, name)}"}
    if frame.mask is not None:
        check_mask(frame.mask, image.size)
        (folder / MASKS).mkdir(exist_ok=True)
        Image.fromarray(read_mask(frame.mask, image.size).numpy()).save(folder / MASKS / f"{name}.png")
        entry["mask_path"] = f"{url}/{MASKS}/{name}.png"
    if frame.split is not None:
        entry["split"] = frame.split
    lens = {key: frame.values[key] for key in LENS if key in frame.values}
    return {**entry, **lens, "transform_matrix": frame.values["transform_matrix"]}


def _move_common_lens(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Remove the lens from the frames if it is the same in all of them, and return it."""
    lens, *others = ({key: frame[key] for key in LENS if key in frame} for frame in frames)
    if any(other != lens for other in others):
        return {}
    for frame in frames:
        for key in lens:
            del frame[key]
    return lens


def import_scene(
    source: str | Path,
    *,
    transforms: str | Path,
    frames: str | Path,
    manifest: str | Path,
    aabb_scale: int | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Copy a scene, so that later steps need no file outside the results.

    Images keep their names unless two share one; then all are named `train_`, `test_` or `frame_` and their
    number, from 0 in the order of their file. Listed images that do not exist are left out with a warning.

    Args:
        source: see `read_known_poses`.
        transforms: the scene file to write, in the folder that also holds `frames`.
        frames: the folder of images to write, with masks (black is ignored) in `masks/`.
        manifest: frames.csv, with one row per listed image, without time and sharpness.
        aabb_scale: side of the box that the radiance field covers; None keeps the source's.
        provenance: added to `transforms`.

    Raises:
        TriptychError: see `read_known_poses`; or if an image, mask, lens or pose cannot be used.
    """
    content, frames = read_known_poses(source), Path(frames)
    entries: list[dict[str, Any]] = []
    rows: list[ManifestRow] = []
    with (
        atomic_folder(frames) as temporary,
        Progress(len(content.frames), "copying images", unit="image") as progress,
    ):
        for number, (frame, name) in enumerate(zip(content.frames, _names(content.frames), strict=True)):
            if frame.image is None:
                rows.append(ManifestRow(number, "", status=f"{frame.name} does not exist"))
            else:
                entries.append(_import_frame(frame, frame.image, temporary, name, url=frames.name))
                rows.append(ManifestRow(number, Path(entries[-1]["file_path"]).name))
            progress.update()
        write_manifest(manifest, rows)
    content.warn_of_missing(source)
    write_json(
        transforms,
        {
            **_move_common_lens(entries),
            "aabb_scale": aabb_scale or content.aabb_scale,
            "scale": content.world.scale,
            "offset": content.world.offset.tolist(),
            "frames": entries,
            "provenance": provenance,
        },
    )
