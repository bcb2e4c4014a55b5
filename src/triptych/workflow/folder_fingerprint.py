"""A digest of a user's files, which changes when a file is added, removed or edited.

It is a param of the rules that read them: a folder's modification time does not change when a file in it is
edited, and if every file were an input, Snakemake would checksum thousands of photographs at every start.
Here a file is read once; afterwards it is read again only if its size or time changed.
"""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import digest_of_file, digest_of_value, read_json, write_json
from triptych.workflow.records import RECORDS

KNOWN = RECORDS / "input_files.json"  # [size, time in ns, digest] by path
ANNOUNCED_BYTES = 2**30

BYPRODUCTS = ("__MACOSX", "@eaDir")  # folders that programs make beside images; others begin with a dot


def file_digests(files: Mapping[str, str | Path]) -> dict[str, list[str]]:
    """Hex digest of the content of each file, as a list of one; of a dangling link the empty list."""
    known: dict[str, Any] = {}
    with suppress(OSError, ValueError, AttributeError):  # without it, the files are read again
        known = {path: entry for path, entry in read_json(KNOWN).items() if isinstance(entry, list)}
    paths = {name: str(path) for name, path in files.items()}
    status = {}
    for path in paths.values():
        with suppress(OSError):  # a link to nothing; other errors show where it is read
            status[path] = os.stat(path)
    new = [path for path, now in status.items() if known.get(path, [])[:2] != [now.st_size, now.st_mtime_ns]]
    size = sum(status[path].st_size for path in new)
    if size > ANNOUNCED_BYTES:
        print(f"triptych: reading {size / 2**30:.1f} GiB of new input files, once", file=sys.stderr)
    for path in new:
        known[path] = [status[path].st_size, status[path].st_mtime_ns, digest_of_file(Path(path))]
    if new and RECORDS.is_dir():
        write_json(
            KNOWN, {path: entry for path, entry in known.items() if path in status or os.path.exists(path)}
        )
    return {name: known.get(path, [])[2:] if path in status else [] for name, path in paths.items()}


def files_fingerprint(files: Mapping[str, str | Path]) -> str:
    """Hex digest of the contents of files and of the names given to them.

    A dangling link counts by its name.
    """
    return digest_of_value(file_digests(files))


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is made by programs beside the user's: see `BYPRODUCTS`."""
    return name.startswith(".") or name in BYPRODUCTS


def folder_fingerprint(folder: str | Path) -> str:
    """Hex digest of the relative names and contents of all files under `folder`, hidden ones left out.

    Raises:
        TriptychError: if the folder is missing, is a file, or may not be listed.
    """
    root = Path(folder)
    if not root.is_dir():
        problem = "is a file, not a folder" if root.exists() else "there is no such folder"
        raise TriptychError(f"{folder}: {problem}; correct the path in the config")

    def refuse(error: OSError) -> None:
        raise TriptychError(f"{error.filename}: cannot be listed ({error.strerror}); check it") from error

    files = {}
    for here, folders, names in os.walk(root, followlinks=True, onerror=refuse):
        folders[:] = [name for name in folders if not is_hidden(name)]
        for name in names:
            if not is_hidden(name):
                path = Path(here, name)
                files[path.relative_to(root).as_posix()] = path
    return files_fingerprint(files)
