"""Extraction of upright, sharp frames from a film or a folder of images, and frames.csv, their list.

Frames of a film are written as PNG: a second lossy codec would blur the detail that matching needs.
"""

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from PIL import Image

from triptych.data.image_files import shrink
from triptych.data.video import Picture, frame_count, read_video
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.sfm.photographs import Save, find_photographs, photographs
from triptych.sfm.sharpness import mark_kept, sharpest_of_windows, sharpness
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

MIN_FRAMES = 3  # the scale of two views is arbitrary: there is nothing to compare it with


def _save_film_frame(picture: Picture, max_size: int | None, target: Path) -> None:
    shrink(Image.fromarray(picture.rgb()), max_size).save(target, compress_level=3)


def film_frames(film: Path, *, max_size: int | None, threads: int) -> Iterator[tuple[ManifestRow, Save]]:
    """All frames of a film, named by their number. Raises as `read_video` does."""
    for picture in read_video(film, threads=threads):
        value, file = sharpness(picture.grey()), f"{picture.number:06d}.png"
        save = partial(_save_film_frame, picture, max_size)
        yield ManifestRow(picture.number, file, picture.time, value), save


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
    leave_out: str | None = None,
    threads: int = 1,
) -> None:
    """Write the sharp frames of a film, or the images of a folder, and frames.csv with a row for each.

    The source is decoded once; two frames of a film are in memory at a time.

    Args:
        source: any film that FFmpeg decodes; or a folder, see `find_photographs`.
        folder: the folder of kept frames to write.
        manifest: frames.csv, to write.
        film: whether `source` is a film.
        fps: frames of a film to keep per second: the sharpest of each window of 1/fps seconds.
        reject_below, neighbours: see `mark_kept`; neighbours in a folder may show different things.
        max_size: longer side of the written frames in pixels; None keeps their size.
        leave_out: a sub-folder of `source` without photographs, relative to it; None: there is none.
        threads: number of threads of the film's decoder.

    Raises:
        TriptychError: the source is missing or unreadable, or fewer than three frames remain.
    """
    source = Path(source)
    left_out: list[ManifestRow] = []
    if film:
        total, unit = frame_count(source), "frame"
        frames = film_frames(source, max_size=max_size, threads=threads)
    else:
        images, left_out = find_photographs(source, leave_out=leave_out)
        total, unit, fps = len(images), "image", None
        frames = photographs(source, images, max_size=max_size)
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
        write_manifest(manifest, [*rows, *left_out])
