"""The frames of a film: all are measured, few are chosen, and only those are decoded again and written.

They are written as PNG: a second lossy codec would blur the detail that matching needs.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from triptych.data.image_files import shrink
from triptych.data.video import frame_count, read_pictures, read_video
from triptych.data.video_frame import Picture
from triptych.scenes.manifest import ManifestRow
from triptych.sfm.include_exclude import EXCLUDED, Selection
from triptych.sfm.kept_frames import Candidate
from triptych.sfm.motion import cell_means, small_version
from triptych.sfm.sharpness import MEASURED_SIZE, sharpest_of_windows, sharpness
from triptych.workflow.progress import Progress

# Standard deviation of the brightness, of 255, over cells of pixels, which average the noise of the sensor.
MIN_CONTRAST, CONTRAST_CELL = 3.0, 4
# Median of `Picture.combing`: of films as they should be it is below 0.5, of interlaced ones above 2.
COMBED = 1.5
NO_CONTENT = "no content: all of one brightness"


def _measure(picture: Picture, selection: Selection) -> Candidate:
    grey = picture.grey(MEASURED_SIZE)
    row = ManifestRow(picture.number, f"{picture.number:06d}.png", picture.time, sharpness(grey))
    forced = selection.includes(row)
    if selection.excludes(row):
        row = row._replace(status=EXCLUDED)
    elif cell_means(grey, CONTRAST_CELL).std() < MIN_CONTRAST and not forced:
        row = row._replace(status=NO_CONTENT)
    return Candidate(row, small_version(grey), picture.stamp, forced)


def film_candidates(
    film: Path, rows: list[ManifestRow], *, fps: float | None, selection: Selection, threads: int
) -> Iterator[tuple[Candidate, Picture]]:
    """The sharpest frame of each window of a film, and those that are kept in any case, with their pictures.

    The candidate of a window without any is a rejected frame, for its picture. A row for each frame is
    appended to `rows`. Raises `TriptychError` if the film cannot be read, or an entry of `selection` matches
    no frame.
    """

    def measured() -> Iterator[tuple[ManifestRow, tuple[Candidate, Picture]]]:
        with Progress(frame_count(film), "measuring frames", unit="frame") as progress:
            for picture in read_video(film, threads=threads):
                candidate = _measure(picture, selection)
                rows.append(candidate.row)
                yield candidate.row, (candidate, picture)
                progress.update()

    for _, found in sharpest_of_windows(measured(), fps, selection.includes):
        yield found
    selection.check(film)


def write_film_frames(
    film: Path,
    folder: Path,
    kept: Sequence[Candidate],
    *,
    max_size: int | None,
    deinterlace: bool,
    threads: int,
) -> None:
    """Write kept frames as PNG, not larger than `max_size`; those marked as interlaced are deinterlaced."""
    wanted = [(candidate.row.frame, candidate.stamp) for candidate in kept]
    files = {candidate.row.frame: candidate.row.file for candidate in kept}
    with Progress(len(wanted), "writing frames", unit="frame") as progress:
        for picture in read_pictures(film, wanted, threads=threads):
            image = shrink(Image.fromarray(picture.rgb(deinterlace=deinterlace)), max_size)
            image.save(folder / files[picture.number], compress_level=3)
            progress.update()
