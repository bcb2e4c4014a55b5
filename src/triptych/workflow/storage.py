"""Jobs of a study that is kept in object storage (`--default-storage-provider`, see docs/object_storage.md).

Snakemake copies the files of such a job to `.snakemake/storage/s3/BUCKET/PREFIX/results/...`. The job
runs in the folder above `results/`, so that every path is the same as in a study on a file system.
"""

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snakemake.iocontainers import Snakemake


def enter_local_copies(snakemake: "Snakemake") -> None:
    """Change into the folder of the local copies and make all paths of the job relative to it.

    Does nothing if the study is in the working directory.
    """
    root, found, _ = str(snakemake.output[0]).partition("/results/")
    if not found:  # results/... itself
        return
    root = os.path.abspath(root)
    for files in (snakemake.input, snakemake.output, snakemake.log):
        _make_relative(files, root)
    os.makedirs(root, exist_ok=True)
    os.chdir(root)


def _make_relative(files: Any, root: str) -> None:
    for position, path in enumerate(files):
        absolute = os.path.abspath(path)
        inside = absolute.startswith(f"{root}/")
        files[position] = os.path.relpath(absolute, root) if inside else absolute
    for name, (start, end) in list(files._get_names()):
        files._set_name(name, start, end=end)
