"""frames.csv, the list of a scene's frames: one row per frame of the source, and why it was kept or not."""

import csv
import math
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from triptych.workflow.errors import TriptychError, malformed, printable
from triptych.workflow.files import atomic_path

COLUMNS = ("frame", "file", "time", "sharpness", "kept", "why", "source")
KEPT = "kept"


class ManifestRow(NamedTuple):
    """A frame of the source."""

    frame: int  # its number, from 0
    file: str  # name of its image file, if it is kept
    time: float | None = None  # seconds since the first frame of a film; None for photographs
    sharpness: float = math.nan  # see `triptych.sfm.sharpness`; NaN if it is not measured
    status: str = KEPT  # `KEPT`, or the reason why the frame is not kept; column `why` of the file
    source: str = ""  # path of a photograph in the scene's folder

    @property
    def kept(self) -> bool:
        """Whether the frame is kept."""
        return self.status == KEPT


def write_manifest(target: str | Path, rows: Iterable[ManifestRow]) -> None:
    """Write frames.csv atomically."""
    with atomic_path(target) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for row in rows:
            time = "" if row.time is None else f"{row.time:.6f}"
            sharpness = "" if math.isnan(row.sharpness) else f"{row.sharpness:.4f}"
            file = row.file if row.kept else ""
            writer.writerow((row.frame, file, time, sharpness, row.kept, row.status, row.source))


def _rows(manifest: str | Path) -> list[dict[str, str]]:
    """The rows of kept frames. Raises `TriptychError` if the file is damaged."""
    try:
        with open(manifest, newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["file"]]
        for row in rows:
            float(row["sharpness"] or "nan")
            if row.keys() != set(COLUMNS) or None in row.values():
                raise ValueError(f"a row does not have the columns {', '.join(COLUMNS)}")
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise TriptychError(
            f"{manifest}: not a list of frames ({printable(malformed(error))}); delete it and run again"
        ) from error
    return rows


def sharpness_of_files(manifest: str | Path) -> dict[str, float]:
    """The measured sharpness of each kept frame, by file name."""
    return {row["file"]: float(row["sharpness"] or "nan") for row in _rows(manifest)}


def sources_of_files(manifest: str | Path) -> dict[str, str]:
    """The path of each kept frame's photograph in the scene's folder, "" for films, by file name."""
    return {row["file"]: row["source"] for row in _rows(manifest)}
