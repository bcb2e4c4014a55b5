"""Records of what each job wrote, so that results survive a copy of the study and edits of them are noticed.

Snakemake compares modification times, and params with its metadata in `.snakemake/metadata`. Times change
when a folder is copied or checked out, and `.snakemake` may be lost. Therefore

- `.snakemake/metadata` is a link to a folder under `results/records` (`keep_metadata`);
- each job records the digest of every file that it wrote (`write_record`). When Snakemake starts, files
  with other times and the same content get their recorded times back; a job whose files have other content
  is marked as incomplete, so that Snakemake runs it again (`reconcile`).
"""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from triptych.workflow.errors import TriptychError, malformed
from triptych.workflow.files import digest_of_file, read_json, remove_temporaries, write_json

RECORDS = Path("results/records")
METADATA = RECORDS / "metadata"
CHECKPOINTS = Path("results/checkpoints")
LATEST = RECORDS / "latest"  # an empty file with the time of the latest record
TIMESTAMP = ".snakemake_timestamp"  # Snakemake's file in an output folder; it has the folder's time
CHANGED = "changed after its job"  # stored as the job's id in Snakemake's mark of an incomplete file


def record_path(outputs: Iterable[str]) -> Path:
    """The record of a job; its first output names it."""
    first = Path(next(iter(outputs)))
    below = first.relative_to("results") if first.is_relative_to("results") else Path(first.name)
    return RECORDS / "jobs" / below.with_name(f"{below.name}.json")


def lock_path(outputs: Iterable[str]) -> Path:
    """The lock file of a job (see `locks`)."""
    return record_path(outputs).with_suffix(".lock")


def remove_record(outputs: Iterable[str]) -> None:
    """Remove the record of a job before it writes its files again, and what a killed one left of it."""
    record_path(outputs).unlink(missing_ok=True)
    remove_temporaries(record_path(outputs))


def write_record(outputs: Iterable[str]) -> None:
    """Record size and digest of each file that a job has just written, and the time.

    The time is later than that of all records and of the job's checkpoints, even if the clock was set back
    meanwhile. Does nothing if an output is missing; Snakemake reports it.
    """
    paths = [str(path) for path in outputs]
    if not all(map(os.path.exists, paths)):
        return
    files = {
        path: {str(file): [file.stat().st_size, digest_of_file(file)] for file in _files(Path(path))}
        for path in paths
    }
    target = record_path(paths)
    checkpoints = CHECKPOINTS / target.parent.relative_to(RECORDS / "jobs")
    earlier = [LATEST, *checkpoints.glob("step-*")]
    times = [path.stat().st_mtime_ns + 1 for path in earlier if path.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    LATEST.touch()  # with the file system's clock, which all machines of a cluster share
    finished = max([LATEST.stat().st_mtime_ns, *times])
    os.utime(LATEST, ns=(finished, finished))
    write_json(target, {"finished": finished, "outputs": files})


def _files(path: Path) -> Iterator[Path]:
    """The file itself, or all files of a folder except hidden ones."""
    if path.is_dir():
        yield from sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts)
        )
    else:
        yield path


def _is_recorded(file: Path, size: int, digest: str, finished: int) -> bool:
    """Whether a file is as its job wrote it; if so, restore its time. Reads it only if the time differs."""
    status = file.stat()
    if status.st_size != size or not file.is_file():
        return False
    if status.st_mtime_ns != finished:
        if digest_of_file(file) != digest:
            return False
        os.utime(file, ns=(finished, finished))
    return True


def _changed_outputs(record: Any) -> list[str]:
    """Outputs of one job that exist and differ from its record; the times of the others are restored."""
    finished, changed = record["finished"], []
    for output, files in record["outputs"].items():
        path = Path(output)
        if any(Path(name).parts[:1] != ("results",) or ".." in Path(name).parts for name in (output, *files)):
            raise ValueError("it names files outside results/")
        if not path.exists():
            continue  # Snakemake notices
        if {str(file) for file in _files(path)} != files.keys() or not all(
            _is_recorded(Path(file), size, digest, finished) for file, (size, digest) in files.items()
        ):
            changed.append(output)
        elif path.is_dir():
            for carrier in filter(Path.exists, (path / TIMESTAMP, path)):
                if carrier.stat().st_mtime_ns != finished:
                    os.utime(carrier, ns=(finished, finished))
    return changed


def remove_finished_checkpoints() -> None:
    """Delete the checkpoints of trainings that have finished: the record of their outputs is newer.

    To be called when Snakemake has accepted all outputs. Until then, a training whose outputs are not
    accepted resumes.
    """
    for folder in {path.parent for path in CHECKPOINTS.rglob("step-*")}:
        records = (RECORDS / "jobs" / folder.relative_to(CHECKPOINTS)).glob("*.json")
        finished = max((read_json(record)["finished"] for record in records), default=0)
        for file in folder.iterdir():
            if file.stat().st_mtime_ns <= finished:
                file.unlink()
        if not any(folder.iterdir()):
            folder.rmdir()


def keep_metadata() -> None:
    """Make `.snakemake/metadata` a link to a folder with the results.

    A folder of that name, from an earlier version or from a copy that followed links, is moved there.
    """
    METADATA.mkdir(parents=True, exist_ok=True)
    link = Path(".snakemake/metadata")
    # Without this folder Snakemake takes the metadata for that of an old version.
    (link.parent / "incomplete").mkdir(parents=True, exist_ok=True)
    if link.is_dir() and not link.is_symlink():
        shutil.copytree(link, METADATA, dirs_exist_ok=True)
        shutil.rmtree(link)
    with suppress(FileExistsError):  # also of another Snakemake that starts at the same time
        link.symlink_to(Path("..") / METADATA)


def _records_of_the_past() -> dict[Path, Any]:
    """All records. Those of the future, as the clock was set back, become the latest ones of the past.

    They keep their order. Snakemake would refuse results that are older than what they are made from.
    """
    records = {}
    for path in sorted((RECORDS / "jobs").rglob("*.json")):
        with _naming(path):
            records[path] = read_json(path)
            records[path]["finished"] = int(records[path]["finished"])
    try:
        with TemporaryFile(dir=RECORDS) as probe:
            now = os.fstat(probe.fileno()).st_mtime_ns
    except OSError:  # the results can only be read
        return records
    future = sorted({record["finished"] for record in records.values() if record["finished"] > now})
    past = {finished: now - len(future) + place for place, finished in enumerate(future)}
    for path, record in records.items():
        if record["finished"] in past:
            record["finished"] = past[record["finished"]]
            write_json(path, record)
    if future:
        LATEST.touch()
    return records


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name a record that cannot be used."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise TriptychError(f"{path}: not a record of a job ({malformed(error)}); delete it") from error


def reconcile() -> list[str]:
    """Compare the results with their records.

    Returns:
        The outputs that are not as their jobs wrote them: edited, truncated or damaged. Snakemake
        computes them again when they are requested.

    Raises:
        TriptychError: a record cannot be read.
    """
    from snakemake.persistence.file import FilePersistence

    keep_metadata()
    marks = FilePersistence(path=Path(".snakemake").resolve())
    changed = []
    for path, record in _records_of_the_past().items():
        with _naming(path):
            found = _changed_outputs(record)
        for output in found:
            marks._mark_incomplete(output, CHANGED)
        for output in record["outputs"].keys() - set(found):
            if marks._get_external_jobids([output]) == {CHANGED}:  # it was changed, and has been restored
                marks._unmark_incomplete(output)
        changed += found
    return changed
