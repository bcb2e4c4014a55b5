"""Import of one image with its mask, lens and pose."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

from triptych.data.image_files import load_image, to_8_bits
from triptych.scenes.calibration import intrinsics, is_fisheye, lens_number, pose, same_shape, unit_cube_pose
from triptych.scenes.coordinates import World
from triptych.scenes.images import check_mask, read_mask
from triptych.scenes.scene_files import Frame
from triptych.scenes.undistortion import needs_undistortion, undistort
from triptych.scenes.write_scene import lens_entry

MASKS = "masks"
COPIED = {"JPEG": (".jpg", ".jpeg"), "MPO": (".jpg", ".jpeg"), "PNG": (".png",)}  # suffixes by format


def _as_calibrated(frame: Frame, image: Image.Image) -> tuple[Image.Image, str]:
    """An image as its lens describes it, and what was done about its EXIF orientation.

    Programs that estimate poses read the stored pixels, so EXIF counts only if the calibrated shape says so.
    """
    if image.getexif().get(Base.Orientation, 1) in (0, 1):
        return image, ""
    turned = ImageOps.exif_transpose(image)
    width, height = (lens_number(frame, key, side) for key, side in zip("wh", image.size, strict=True))
    if not same_shape(image.size, width, height) and same_shape(turned.size, width, height):
        return turned, "are turned by their EXIF orientation, as their calibration is"
    return image.copy(), "have an EXIF orientation that their calibration ignores; it is removed"


def _save_image(image: Image.Image, source: Path | None, folder: Path, name: str) -> str:
    """Save an image, or copy its `source` if that is JPEG or PNG of 8 bits. Returns the file's name."""
    suffixes = COPIED.get(image.format or "", ())
    if source is not None and suffixes and image.mode in ("L", "RGB", "RGBA"):
        suffix = source.suffix if source.suffix.lower() in suffixes else suffixes[0]
        shutil.copyfile(source, folder / (name + suffix))
        return name + suffix
    to_8_bits(image).save(folder / f"{name}.png", compress_level=3)
    return f"{name}.png"


def import_frame(
    frame: Frame, source: Path, folder: Path, name: str, *, world: World, masked: bool, done: Counter[str]
) -> dict[str, Any]:
    """Check a frame, copy its image and mask to `folder`, called `frames`, and return its new entry.

    With `masked` a mask is written also if the frame has none. `done` counts what was done to images that
    could not be copied as they are. Raises `TriptychError` if the image, mask, lens or pose cannot be used.
    """
    stored = load_image(source)
    image, turned = _as_calibrated(frame, stored)
    if frame.crop:
        width, height = image.size
        image = image.crop((frame.crop, frame.crop, width - frame.crop, height - frame.crop))
        done[f"are cropped by {frame.crop} pixels at each side, where undistortion may leave black"] += 1
    used = None
    if frame.mask is not None:
        check_mask(frame.mask, image.size)
        used = read_mask(frame.mask, image.size).numpy()
    if needs_undistortion(frame):
        frame, image, used = undistort(frame, to_8_bits(image), used)
        done["are undistorted, because the radiance field has no such lenses"] += 1
    if turned:
        done[turned] += 1
    lens = lens_entry(intrinsics(frame, image.size, 1), fisheye=is_fisheye(frame))
    unit_cube_pose(frame, world)
    matrix = np.vstack([pose(frame), [0, 0, 0, 1]]).tolist()
    file = _save_image(image, source if image is stored else None, folder, name)
    entry: dict[str, Any] = {"file_path": f"frames/{file}"}
    if used is None and masked:
        used = np.ones(image.size[::-1], dtype=bool)
    if used is not None:
        (folder / MASKS).mkdir(exist_ok=True)
        Image.fromarray(used).save(folder / MASKS / f"{name}.png")
        entry["mask_path"] = f"frames/{MASKS}/{name}.png"
    if frame.split is not None:
        entry["split"] = frame.split
    return {**entry, **lens, "transform_matrix": matrix}
