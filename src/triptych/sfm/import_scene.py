"""From images with known poses to the files that a reconstruction would have written."""

import csv
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from triptych.scenes.calibration import intrinsics, pose
from triptych.scenes.scene import check_mask, image_size, read_mask
from triptych.scenes.transforms_file import Frame, TransformsFile
from triptych.sfm.frames import COLUMNS
from triptych.sfm.known_poses import read_known_poses
from triptych.sfm.names import plain_name
from triptych.sfm.sharpness import KEPT
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, atomic_path, write_json
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

LENS = (
    *("camera_model", "is_fisheye", "camera_angle_x", "camera_angle_y", "fl_x", "fl_y", "cx", "cy"),
    *("w", "h", "k1", "k2", "k3", "k4", "p1", "p2"),
)
MASKS = "masks"


def _names(files: list[TransformsFile]) -> list[str]:
    """A name without suffix for each listed frame: its image's, or, where two agree, numbers for all."""
    frames = [frame for file in files for frame in file.frames]
    own = [plain_name(Path(frame.name).stem if frame.image is None else frame.image.stem) for frame in frames]
    present = [name for name, frame in zip(own, frames, strict=True) if frame.image is not None]
    if len(set(present)) == len(present):
        return own
    return [
        f"{frame.split or 'frame'}_{number:04d}" for file in files for number, frame in enumerate(file.frames)
    ]


def _copy_image(image: Path, folder: Path, name: str) -> str:
    """Copy an image; what is neither JPEG nor PNG of 8 bits is converted. Returns the file's name."""
    try:
        with Image.open(image) as opened:
            opened.load()
            if opened.format in ("JPEG", "PNG") and opened.mode in ("L", "RGB", "RGBA"):
                shutil.copyfile(image, folder / (name + image.suffix))
                return name + image.suffix
            if opened.mode.startswith("I;16"):
                picture = Image.fromarray((np.asarray(opened) >> 8).astype(np.uint8)).convert("RGB")
            else:
                picture = opened.convert("RGBA" if opened.has_transparency_data else "RGB")
            picture.save(folder / f"{name}.png", compress_level=3)
            return f"{name}.png"
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's trouble, not the image's
        raise TriptychError(f"{image}: cannot be read as an image ({error}); replace it") from error


def _take_frame(
    file: TransformsFile, frame: Frame, image: Path, folder: Path, name: str, *, called: str
) -> dict[str, Any]:
    """Check one frame, copy image and mask to `folder`, later `called` that, and describe it anew."""
    where, size = file.where(frame), image_size(image)
    intrinsics(frame.values, where, size, 1)
    pose(frame.values, where, scale=file.scale, offset=file.offset)
    entry: dict[str, Any] = {"file_path": f"{called}/{_copy_image(image, folder, name)}"}
    if frame.mask is not None:
        check_mask(frame.mask, size)
        counts = read_mask(frame.mask, size).numpy()
        (folder / MASKS).mkdir(exist_ok=True)
        Image.fromarray(counts).save(folder / MASKS / f"{name}.png")
        entry["mask_path"] = f"{called}/{MASKS}/{name}.png"
    if frame.split is not None:
        entry["split"] = frame.split
    lens = {key: frame.values[key] for key in LENS if key in frame.values}
    return {**entry, **lens, "transform_matrix": frame.values["transform_matrix"]}


def _share_lens(frames: list[dict[str, Any]]) -> dict[str, Any]:
    """Move the lens out of the frames if it is the same in all of them, and return it."""
    lenses = [{key: frame[key] for key in LENS if key in frame} for frame in frames]
    if any(lens != lenses[0] for lens in lenses):
        return {}
    for frame in frames:
        for key in lenses[0]:
            del frame[key]
    return lenses[0]


def import_scene(
    source: str | Path,
    *,
    transforms: str | Path,
    frames: str | Path,
    manifest: str | Path,
    aabb_scale: int | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Copy a scene, so that nothing outside of the results is needed any more.

    Images keep their names unless two share one; then all are numbered, from 0 in the order of their
    file, behind `train_`, `test_` or `frame_`. Listed images that do not exist are left out with a warning.

    Args:
        source: see `read_known_poses`.
        transforms: the scene file to write, beside `frames`.
        frames: becomes the folder of images, with masks (black is ignored) in `masks/`.
        manifest: csv with a row for each listed image, as films have it, without time and sharpness.
        aabb_scale: side of the box that the radiance field covers; None keeps the source's.
        provenance: goes into `transforms`.

    Raises:
        TriptychError: see `read_known_poses`; or if an image, mask, lens or pose cannot be used.
    """
    files, frames = read_known_poses(source), Path(frames)
    listed = [(file, frame) for file in files for frame in file.frames]
    entries: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    with (
        atomic_folder(frames) as temporary,
        Progress(len(listed), "copying images", unit="image") as progress,
    ):
        for (file, frame), name in zip(listed, _names(files), strict=True):
            if frame.image is None:
                rows.append((len(rows), "", "", "", False, f"{frame.name} does not exist"))
            else:
                entry = _take_frame(file, frame, frame.image, temporary, name, called=frames.name)
                copied = Path(entry["file_path"]).name
                rows.append((len(rows), copied, "", "", True, KEPT))
                entries.append(entry)
            progress.update()
        with atomic_path(manifest) as table, table.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            writer.writerow(COLUMNS)
            writer.writerows(rows)
    missing = [frame.name for _, frame in listed if frame.image is None]
    if missing:
        log.warning(
            "%s: %d of %d images do not exist (first: %s)", source, len(missing), len(listed), missing[0]
        )
    world = {"aabb_scale": aabb_scale or files[0].aabb_scale, "scale": files[0].scale}
    write_json(
        transforms,
        {
            **_share_lens(entries),
            **world,
            "offset": files[0].offset,
            "frames": entries,
            "provenance": provenance,
        },
    )
