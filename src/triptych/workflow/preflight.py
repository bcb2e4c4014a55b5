"""Checks of the machine before Snakemake starts, whose own errors would be tracebacks.

`triptych.config.config_files` runs this file as a script, alone: it imports nothing of the project.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOM = 2**20  # bytes that the folder of a study needs for Snakemake's own files
PROJECT = Path(__file__).resolve().parents[3]


def working_folder(arguments: Sequence[str]) -> Path:
    """The folder in which a command line of Snakemake runs."""
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=False):
        option, _, value = argument.partition("=")
        if option in ("-d", "--directory"):
            return Path(value or following)
    return Path()


def problem_of_folder(folder: Path) -> str | None:
    """Why a study cannot be kept in a folder, in one line; None: it can."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if (problem := _problem(there)) is not None:
        return f"{there}: {problem}; free some space there, or choose another folder with --directory"
    return None


def _problem(folder: str | Path) -> str | None:
    """Why `ROOM` bytes cannot be written to a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        return error.strerror
    return None


def problem_of_project(project: Path = PROJECT) -> str | None:
    """Why Snakemake cannot read the rules in the project's folder, in one line; None: it can."""
    if set("{}") & set(str(project)):
        return f"{project}: Snakemake takes the braces for variables; rename the project's folder"
    return None


def choose_temporary_folder() -> str | None:
    """Set `TMPDIR` if it is full or missing; a line that says so."""
    named = os.environ.get("TMPDIR") or "/tmp"
    if (problem := _problem(named)) is None:
        return None
    for other in ("/tmp", "/var/tmp"):
        if _problem(other) is None:
            os.environ["TMPDIR"] = other
            tempfile.tempdir = None  # read again
            return f"{named}: {problem}; temporary files are kept in {other}"
    raise OSError(f"{named}: {problem}; free some space there, or set TMPDIR to another folder")


def choose_cache() -> str | None:
    """Set `XDG_CACHE_HOME` if the home folder is missing or cannot be written; a line that says so."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    if _is_writable(home):
        return None
    other = Path(tempfile.gettempdir(), f"triptych-{os.getuid()}")
    if not _is_writable(other) or other.stat().st_uid != os.getuid():
        raise OSError(f"{home} cannot be written; set XDG_CACHE_HOME to a folder of yours")
    os.environ["XDG_CACHE_HOME"] = str(other)
    return f"{home} cannot be written; caches are kept in {other}"


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return folder.is_absolute() and os.access(folder, os.W_OK)


def main(arguments: Sequence[str]) -> None:
    """Check project, folder, caches and temporary files; exit with one line about the first problem."""
    try:
        problem = problem_of_project() or problem_of_folder(working_folder(arguments))
        notes = [] if problem else [choose_temporary_folder(), choose_cache()]
    except OSError as error:
        problem, notes = f"{error}", []
    for line in filter(None, [problem, *notes]):
        print(f"triptych: {line}", file=sys.stderr)
    if problem:
        raise SystemExit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
