"""Extraction of upright, sharp frames from a film or a folder of images, and frames.csv, their list.

Frames of a film are written as PNG: a second lossy codec would blur the detail that matching needs.
Photographs that need no change are copied unchanged, with the EXIF data from which COLMAP reads the focal
length.
"""

import logging
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from triptych.data.image_files import (
    SUFFIXES,
    list_images,
    load_image,
    on_white,
    plain_name,
    shrink,
    to_8_bits,
)
from triptych.data.video import Picture, frame_count, read_video
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.sfm.sharpness import mark_kept, sharpest_of_windows, sharpness
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

MIN_FRAMES = 3  # the scale of two views is arbitrary: there is nothing to compare it with
ORIENTATION = 0x0112  # the EXIF tag

Save = Callable[[Path], object]  # writes a frame to a file


def _save_film_frame(picture: Picture, max_size: int | None, target: Path) -> None:
    shrink(Image.fromarray(picture.rgb()), max_size).save(target, compress_level=3)


def film_frames(film: Path, *, max_size: int | None, threads: int) -> Iterator[tuple[ManifestRow, Save]]:
    """All frames of a film, named by their number. Raises as `read_video` does."""
    for picture in read_video(film, threads=threads):
        value, file = sharpness(picture.grey()), f"{picture.number:06d}.png"
        save = partial(_save_film_frame, picture, max_size)
        yield ManifestRow(picture.number, file, picture.time, value), save


def images_in(folder: Path) -> list[Path]:
    """The images of a folder; a `TriptychError` says why there are none."""
    if not folder.is_dir():
        raise TriptychError(f"{folder}: there is no such folder; correct the scene's path in the config")
    images, others = list_images(folder)
    if not images:
        found = f"found only {', '.join(others[:5])}" if others else "it is empty"
        raise TriptychError(
            f"{folder}: no images in this folder ({found}); give files of type {', '.join(SUFFIXES)}"
        )
    if others:
        log.warning("%s: files that are no images left out (%s)", folder, ", ".join(others[:5]))
    return images


def photographs(images: list[Path], *, max_size: int | None) -> Iterator[tuple[ManifestRow, Save]]:
    """The images, turned upright by their EXIF orientation, in 8-bit RGB on white.

    Spaces in names become `_`; `.png` is appended to the names of types other than JPEG and PNG.

    Raises:
        TriptychError: an image cannot be read, or two would have the same name.
    """
    names = set()
    for number, path in enumerate(images):
        image = load_image(path, remedy="replace it, or take it out of the folder")
        usual = image.format in ("JPEG", "PNG")
        name = plain_name(path.name) + ("" if usual else ".png")
        if name in names:
            raise TriptychError(f"{path}: another image is also called {name}; rename one of them")
        names.add(name)
        upright = image.getexif().get(ORIENTATION, 1) == 1
        save: Save
        small = max_size is None or max(image.size) <= max_size
        if usual and upright and small and image.mode == "RGB":
            picture, save = image, partial(shutil.copyfile, path)
        else:
            turned = ImageOps.exif_transpose(image)
            picture = shrink(on_white(to_8_bits(turned)), max_size)
            if image.format == "JPEG":
                exif = turned.getexif().tobytes()
                save = partial(picture.save, format="JPEG", quality=97, subsampling=0, exif=exif)
            else:
                save = partial(picture.save, format="PNG", compress_level=3)
        yield ManifestRow(number, name, None, sharpness(np.asarray(picture.convert("L")))), save


def extract_frames(
    source: str | Path,
    folder: str | Path,
    manifest: str | Path,
    *,
    film: bool,
    fps: float | None,
    reject_below: float,
    neighbours: int,
    max_size: int | None = None,
    threads: int = 1,
) -> None:
    """Write the sharp frames of a film, or the images of a folder, and frames.csv with a row for each.

    The source is decoded once; two frames of a film are in memory at a time.

    Args:
        source: any film that FFmpeg decodes; or a folder, whose sub-folders, hidden files and files
            of other types are left out.
        folder: the folder of kept frames to write.
        manifest: frames.csv, to write.
        film: whether `source` is a film.
        fps: frames of a film to keep per second: the sharpest of each window of 1/fps seconds.
        reject_below, neighbours: see `mark_kept`; neighbours in a folder may show different things.
        max_size: longer side of the written frames in pixels; None keeps their size.
        threads: number of threads of the film's decoder.

    Raises:
        TriptychError: the source is missing or unreadable, or fewer than three frames remain.
    """
    source = Path(source)
    if film:
        total, unit = frame_count(source), "frame"
        frames = film_frames(source, max_size=max_size, threads=threads)
    else:
        images, fps = images_in(source), None
        total, unit = len(images), "image"
        frames = photographs(images, max_size=max_size)
    rows: list[ManifestRow] = []

    def with_rows() -> Iterator[tuple[ManifestRow, Save]]:
        """The frames, each of which is also appended to `rows`."""
        with Progress(total, f"measuring {unit}s", unit=unit) as progress:
            for row, save in frames:
                rows.append(row)
                yield row, save
                progress.update()

    with atomic_folder(folder) as temporary:
        chosen = []
        for sharpest, save in sharpest_of_windows(with_rows(), fps):
            save(temporary / sharpest.file)
            chosen.append(sharpest)
        rows = mark_kept(rows, chosen, reject_below=reject_below, neighbours=neighbours)
        kept = sum(row.kept for row in rows)
        log.info("%s: %d of %d frames kept", source, kept, len(rows))
        if kept < MIN_FRAMES:
            more = "raise the scene's fps, film for longer" if film else "add images"
            raise TriptychError(
                f"{source}: only {kept} of {len(rows)} frames kept ({len(chosen) - kept} too blurry), at "
                f"least {MIN_FRAMES} are needed; {more}, or lower frames.reject_below"
            )
        for row in rows:
            if not row.kept:
                (temporary / row.file).unlink(missing_ok=True)
        write_manifest(manifest, rows)
