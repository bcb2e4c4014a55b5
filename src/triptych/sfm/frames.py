"""Extraction of upright, sharp frames from a film or a folder of images, and frames.csv, their list."""

import logging
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from triptych.data.image_files import FORMATS
from triptych.scenes.manifest import ManifestRow, write_manifest
from triptych.sfm.film import COMBED, film_candidates, write_film_frames
from triptych.sfm.include_exclude import EXCLUDED, Selection
from triptych.sfm.kept_frames import MIN_FRAMES, Candidate, choose
from triptych.sfm.motion import small_version
from triptych.sfm.photographs import find_photographs, photographs
from triptych.sfm.sharpness import NOT_SHARPEST
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import atomic_folder
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

THUMBNAIL_SIDE = 160  # pixels


def _photograph_candidates(
    source: Path,
    images: Sequence[Path],
    folder: Path,
    thumbnails: Path,
    rows: list[ManifestRow],
    *,
    max_size: int | None,
    selection: Selection,
) -> list[Candidate]:
    """Write all photographs to `folder` and `thumbnails`, and append a row for each to `rows`."""
    candidates = []
    with Progress(len(images), "measuring images", unit="image") as progress:
        for row, save in photographs(source, images, max_size=max_size):
            forced = selection.includes(row)
            if selection.excludes(row):
                row = row._replace(status=EXCLUDED)
            rows.append(row)
            save(folder / row.file)
            with Image.open(folder / row.file, formats=FORMATS) as image:
                image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), reducing_gap=3)
                thumbnail = image.convert("RGB")
            _save_thumbnail(thumbnail, thumbnails, row)
            if row.kept:
                candidates.append(
                    Candidate(row, small_version(np.asarray(thumbnail.convert("L"))), forced=forced)
                )
            progress.update()
    selection.check(source)
    return candidates


def _save_thumbnail(thumbnail: Image.Image, folder: Path, row: ManifestRow) -> None:
    thumbnail.save(folder / f"{row.frame:06d}.jpg", quality=85)


def extract_frames(
    source: str | Path,
    folder: str | Path,
    manifest: str | Path,
    thumbnails: str | Path | None = None,
    *,
    film: bool,
    fps: float | None,
    reject_below: float,
    neighbours: int,
    max_size: int | None = None,
    max_frames: int | None = None,
    include: Sequence[str | int] = (),
    exclude: Sequence[str | int] = (),
    leave_out: str | None = None,
    threads: int = 1,
) -> dict[str, int]:
    """Write the sharp frames of a film, or the images of a folder, and frames.csv with a row for each.

    A film is decoded twice, to measure all frames and to write those that are kept; two frames are in memory
    at a time. Returns how many `frames` were measured, and how many are `kept`. Raises `TriptychError` if the
    source is missing or unreadable, fewer than three frames remain, or an entry of `include` or `exclude`
    matches no frame.

    Args:
        source: any film that FFmpeg decodes; or a folder, see `find_photographs`.
        thumbnails: a folder to write, of a small picture of each photograph or of a frame in each window of
            the film, named by the frame's number; None: it is not written.
        fps: frames of a film to keep per second: the sharpest of each window of 1/fps seconds.
        max_size: longer side of the written frames in pixels; None keeps their size.
        max_frames: number of frames to keep at most, spread over the camera's motion; None: no limit.
        leave_out: a sub-folder of `source` without photographs, relative to it; None: there is none.
    """
    source, selection = Path(source), Selection(include, exclude)
    rows: list[ManifestRow] = []
    left_out: list[ManifestRow] = []
    with atomic_folder(folder) as temporary, _thumbnail_folder(thumbnails) as small:
        if film:
            candidates, combing = [], []
            for candidate, picture in film_candidates(
                source, rows, fps=fps, selection=selection, threads=threads
            ):
                _save_thumbnail(Image.fromarray(picture.thumbnail(THUMBNAIL_SIDE)), small, candidate.row)
                if candidate.row.kept:
                    candidates.append(candidate)
                    combing.append(0.0 if picture.decoded.interlaced_frame else picture.combing())
            combed = bool(combing and np.median(combing) > COMBED)
            if combed:
                log.warning("%s: interlaced, though not marked as such; it is deinterlaced", source)
        else:
            images, left_out = find_photographs(source, leave_out=leave_out)
            candidates = _photograph_candidates(
                source, images, temporary, small, rows, max_size=max_size, selection=selection
            )
        rows = choose(
            rows,
            candidates,
            film=film,
            reject_below=reject_below,
            neighbours=neighbours,
            max_frames=max_frames,
        )
        _check_count(source, rows, film=film)
        kept = {row.frame for row in rows if row.kept}
        if film:
            chosen = [candidate for candidate in candidates if candidate.row.frame in kept]
            write_film_frames(
                source, temporary, chosen, max_size=max_size, deinterlace=combed, threads=threads
            )
        for row in rows:
            if not row.kept:
                (temporary / row.file).unlink(missing_ok=True)
        write_manifest(manifest, [*rows, *left_out])
    return {"frames": len(rows), "kept": len(kept)}


@contextmanager
def _thumbnail_folder(target: str | Path | None) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() if target is None else atomic_folder(target) as folder:
        yield Path(folder)


def _check_count(source: Path, rows: Sequence[ManifestRow], *, film: bool) -> None:
    """Report how many frames are kept, and why others are not; a `TriptychError` if they are too few."""
    # A reason is a word, and details after a colon or a number.
    reasons = Counter(re.split(r":| \d", row.status)[0] for row in rows if not row.kept)
    reasons.pop(NOT_SHARPEST, None)
    kept = sum(row.kept for row in rows)
    dropped = "".join(f", {count} {reason}" for reason, count in reasons.items() if reason != "blurry")
    summary = f"{kept} of {len(rows)} frames kept ({reasons['blurry']} too blurry{dropped})"
    if kept < MIN_FRAMES:
        more = "raise frames.fps, film for longer" if film else "add images"
        raise TriptychError(
            f"{source}: only {summary}, at least {MIN_FRAMES} are needed; {more}, or lower "
            "frames.reject_below"
        )
    log.info("%s: %s", source, summary)
