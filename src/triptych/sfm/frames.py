"""From a film or a folder of images to one folder of upright, sharp frames and a manifest.

Frames of a film are written as PNG: they have been through one lossy codec already, and a
second one would blur exactly the detail that matching needs. Photographs that need no change
are copied as they are, with the EXIF data from which COLMAP reads the focal length.
"""

import csv
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from triptych.sfm.names import plain_name
from triptych.sfm.sharpness import KEPT, Candidate, choose, sharpness
from triptych.sfm.video import frame_count, read_video
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder, atomic_path
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

COLUMNS = ("frame", "file", "time", "sharpness", "kept", "why")
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
MIN_FRAMES = 3  # two views fix no scale to compare a third with
ORIENTATION = 0x0112  # the EXIF tag


def _shrunk(image: Image.Image, max_size: int | None) -> Image.Image:
    """The image with its longer side at most `max_size` pixels."""
    longer = max(image.size)
    if max_size is None or longer <= max_size:
        return image
    width, height = (max(1, round(side * max_size / longer)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS)


def _write_manifest(
    manifest: str | Path, candidates: Sequence[Candidate], names: Sequence[str], why: Sequence[str]
) -> None:
    with atomic_path(manifest) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for candidate, name, reason in zip(candidates, names, why, strict=True):
            time = "" if candidate.time is None else f"{candidate.time:.6f}"
            kept = reason == KEPT
            row = (candidate.frame, name if kept else "", time, f"{candidate.sharpness:.4f}", kept, reason)
            writer.writerow(row)


def _check_enough(source: str | Path, why: Sequence[str], advice: str) -> None:
    kept = why.count(KEPT)
    log.info("%s: %d of %d frames kept", source, kept, len(why))
    if kept < MIN_FRAMES:
        blurry = sum(reason.startswith("blurry") for reason in why)
        raise TriptychError(
            f"{source}: only {kept} of {len(why)} frames kept ({blurry} too blurry), at least {MIN_FRAMES} "
            f"are needed; {advice}"
        )


def frames_of_video(
    video: str | Path,
    folder: str | Path,
    manifest: str | Path,
    *,
    fps: float,
    reject_below: float,
    neighbours: int,
    max_size: int | None = None,
    threads: int = 1,
) -> None:
    """Choose the sharp frames of a film and write them as `{frame index:06d}.png`.

    The film is decoded twice, once to judge and once to write: memory stays at one frame.

    Args:
        video: any film that FFmpeg decodes.
        folder: becomes the folder of kept frames.
        manifest: csv with one row a film frame: frame (counted from 0), file (empty if not
            kept), time in seconds, sharpness, kept (True or False), why.
        fps: frames to keep a second; see `choose`.
        reject_below: see `choose`.
        neighbours: see `choose`.
        max_size: longer side of the written frames in pixels; None keeps them as they are.
        threads: of the decoder.

    Raises:
        TriptychError: see `read_video`; or if fewer than three frames remain.
    """
    candidates = []
    with Progress(frame_count(video), "judging sharpness", unit="frame") as progress:
        for picture in read_video(video, threads=threads):
            candidates.append(Candidate(picture.number, picture.time, sharpness(picture.grey())))
            progress.update()
    why = choose(candidates, fps=fps, reject_below=reject_below, neighbours=neighbours)
    _check_enough(video, why, "raise the scene's fps, lower frames.reject_below, or film for longer")
    names = [f"{candidate.frame:06d}.png" for candidate in candidates]
    with atomic_folder(folder) as temporary:
        for picture in read_video(video, threads=threads):
            if why[picture.number] == KEPT:
                image = _shrunk(Image.fromarray(picture.rgb()), max_size)
                image.save(temporary / names[picture.number], compress_level=3)
        _write_manifest(manifest, candidates, names, why)


def _list_images(folder: Path) -> list[Path]:
    """Image files directly in `folder`, in order of name."""
    if not folder.is_dir():
        raise TriptychError(f"{folder}: there is no such folder; correct the scene's path in the config")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    images = [path for path in files if path.suffix.lower() in SUFFIXES]
    others = sorted({path.suffix.lower() or path.name for path in files} - set(SUFFIXES))
    if not images:
        found = f"found only {', '.join(others[:5])}" if others else "it is empty"
        raise TriptychError(
            f"{folder}: no images in this folder ({found}); give files of type {', '.join(SUFFIXES)}"
        )
    if others:
        log.warning("%s: files that are no images left out (%s)", folder, ", ".join(others[:5]))
    return images


def _on_white(image: Image.Image) -> Image.Image:
    """8-bit RGB; whatever is transparent becomes white, as in the synthetic scenes of NeRF."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("RGB")


def _take_image(path: Path, folder: Path, max_size: int | None) -> tuple[str, NDArray[np.uint8]]:
    """Put one image, upright and small enough, into `folder`; return its name there and its luma."""
    name = plain_name(path.name)
    try:
        with Image.open(path) as image:
            image.load()
            if image.format not in ("JPEG", "PNG"):
                name += ".png"
            target = folder / name
            if target.exists():
                raise TriptychError(f"{path}: another image is also called {name}; rename one of them")
            upright = image.getexif().get(ORIENTATION, 1) == 1
            small = max_size is None or max(image.size) <= max_size
            if upright and small and image.format in ("JPEG", "PNG") and image.mode == "RGB":
                shutil.copyfile(path, target)
                return name, np.asarray(image.convert("L"))
            turned = ImageOps.exif_transpose(image)
            picture = _shrunk(_on_white(turned), max_size)
            if image.format == "JPEG":
                exif = turned.getexif().tobytes()
                picture.save(target, "JPEG", quality=97, subsampling=0, exif=exif)
            else:
                picture.save(target, "PNG", compress_level=3)
            return name, np.asarray(picture.convert("L"))
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's trouble, not the image's
        raise TriptychError(
            f"{path}: cannot be read as an image ({error}); replace it, or take it out of the folder"
        ) from error


def frames_of_folder(
    source: str | Path,
    folder: str | Path,
    manifest: str | Path,
    *,
    reject_below: float,
    neighbours: int,
    max_size: int | None = None,
) -> None:
    """Take the images of a folder, in order of name, turned upright as their EXIF data asks.

    Sub-folders, hidden files and files of other types are left out. Spaces in names become
    `_`; `.png` is appended to the names of types other than JPEG and PNG.

    Args:
        source: the folder with the images.
        folder: becomes the folder of kept frames.
        manifest: as for `frames_of_video`; `frame` counts the images, `time` is empty.
        reject_below: see `choose`; 0 keeps all. Neighbours by name need not show the same.
        neighbours: see `choose`.
        max_size: as for `frames_of_video`.

    Raises:
        TriptychError: if the folder is missing or has no images, if an image cannot be read,
            or if fewer than three remain.
    """
    images = _list_images(Path(source))
    with atomic_folder(folder) as temporary:
        candidates, names = [], []
        with Progress(len(images), "reading images", unit="image") as progress:
            for number, path in enumerate(images):
                name, grey = _take_image(path, temporary, max_size)
                names.append(name)
                candidates.append(Candidate(number, None, sharpness(grey)))
                progress.update()
        why = choose(candidates, fps=None, reject_below=reject_below, neighbours=neighbours)
        _check_enough(source, why, "add images, or lower frames.reject_below")
        for name, reason in zip(names, why, strict=True):
            if reason != KEPT:
                (temporary / name).unlink()
        _write_manifest(manifest, candidates, names, why)
