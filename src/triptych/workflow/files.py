"""Files that are either complete or absent, and their digests.

`atomic_path` and `atomic_folder` give a temporary name in the target's folder and rename it with
`os.replace`, so that a killed job or a full disk never leaves a file that looks finished.
"""

import errno
import hashlib
import json
import math
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from triptych.workflow.errors import TriptychError

MAX_JSON = 2**26  # bytes

if TYPE_CHECKING:
    from torch import Tensor

FULL = 2**20  # bytes: a disk with less is full


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the body succeeds.

    The temporary name keeps the target's suffix, because many writers choose the
    format by it. On any exception the temporary file is removed and `target` is untouched.

    Raises:
        OSError: the disk is full, whatever the body raised then.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(**_beside(target))
    os.close(handle)
    temporary = Path(name)
    try:
        with _disk_full_named(target):
            yield temporary
        # mkstemp makes private files; results should have the permissions of the user's umask.
        os.umask(mask := os.umask(0))
        temporary.chmod(0o666 & ~mask)
        _sync(temporary)
        os.replace(temporary, target)
    finally:
        for file in _with_companions(temporary):
            file.unlink(missing_ok=True)


@contextmanager
def _disk_full_named(target: Path) -> Iterator[None]:
    """Turn an error on a full disk into an OSError that says so: COLMAP's and Pillow's do not."""
    try:
        yield
    except Exception as error:
        known = isinstance(error, TriptychError) or (isinstance(error, OSError) and error.errno)
        if known or shutil.disk_usage(target.parent).free > FULL:
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from error


def _beside(target: Path) -> dict[str, Any]:
    """Arguments of `tempfile`'s functions for a temporary file or folder of `target`."""
    return {"prefix": f".{target.stem}-", "suffix": target.suffix, "dir": target.parent}


def _with_companions(path: Path) -> list[Path]:
    """A file and those that SQLite keeps beside a database."""
    return [path, *(path.with_name(path.name + ending) for ending in ("-journal", "-wal", "-shm"))]


def remove_temporaries(target: Path) -> None:
    """Remove what killed processes left while they wrote `target`; no other process may be writing it."""
    name = re.compile(rf"\.{re.escape(target.stem)}-[a-z0-9_]{{8}}{re.escape(target.suffix)}(-\w+)?")
    for path in target.parent.glob(".*"):
        if name.fullmatch(path.name) is None:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(path: Path) -> None:
    """Wait until the content is on the disk, so that a power cut cannot leave the new name without it."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder; swap it in as `target` if the body succeeds."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(**_beside(target)))
    try:
        with _disk_full_named(target):
            yield temporary
        temporary.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def move_file(source: Path, target: Path) -> None:
    """Move a file to `target`, which is complete or absent at any time, also on another file system."""
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        with atomic_path(target) as temporary:
            shutil.copyfile(source, temporary)
        source.unlink()


@contextmanager
def scratch_folder(target: str | Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `target` for files that are removed in the end."""
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(**_beside(target)) as folder:
        yield Path(folder)


def write_text(target: str | Path, text: str) -> None:
    r"""Write UTF-8 `text` atomically; parts of file names that are no UTF-8 become `\udc..`, as in JSON."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def _without_nonfinite(value: Any) -> Any:
    """Replace NaN and infinities by None, since standard JSON cannot express them."""
    if isinstance(value, dict):
        return {str(key): _without_nonfinite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nonfinite(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def write_json(target: str | Path, value: Any) -> None:
    """Write `value` atomically as indented JSON; NaN and infinities become null."""
    write_text(target, json.dumps(_without_nonfinite(value), indent=2, ensure_ascii=False) + "\n")


def read_bytes(path: str | Path, most: int) -> bytes:
    """The content of a file.

    Raises:
        ValueError: it has more than `most` bytes.
        OSError: it cannot be read.
    """
    with open(path, "rb") as stream:
        size = os.fstat(stream.fileno()).st_size  # 0 for a pipe
        content = stream.read(most + 1) if size <= most else b""
    if max(size, len(content)) > most:
        raise ValueError(f"it is larger than {most >> 20} MiB")
    return content


def read_json(path: str | Path) -> Any:
    """Read a JSON file in UTF-8, UTF-16 or UTF-32, with or without a byte order mark.

    Raises:
        ValueError: it is not JSON, is nested too deeply, or is larger than any file of this project.
        OSError: it cannot be read.
    """
    try:
        return json.loads(read_bytes(path, MAX_JSON))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write `.npy`. `numpy.save` would hide a full disk: it raises OSError without an errno."""
    write_blocks(path, [array], array.shape)


def read_array(path: str | Path) -> NDArray[Any]:
    """Read a `.npy` file.

    Raises:
        TriptychError: the file is damaged.
    """
    try:
        return np.load(path)
    except (ValueError, EOFError) as error:
        raise TriptychError(f"{path} cannot be read ({error}); delete it and run again") from error


def write_blocks(path: Path, blocks: Iterable[NDArray[Any]], shape: Sequence[int]) -> None:
    """Write `.npy` from its blocks along the first axis, of which there is at least one, in order."""
    with path.open("wb") as stream:
        for number, block in enumerate(blocks):
            block = np.ascontiguousarray(block)
            if number == 0:
                header = {**np.lib.format.header_data_from_array_1_0(block), "shape": tuple(shape)}
                np.lib.format.write_array_header_1_0(stream, header)
            stream.write(block.data)


def write_arrays(target: str | Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write several arrays atomically as `.npz`; the same arrays give the same bytes."""
    named: dict[str, Any] = dict(arrays)
    with atomic_path(target) as temporary:
        np.savez_compressed(temporary, **named)


def read_arrays(path: str | Path) -> dict[str, NDArray[Any]]:
    """Read what `write_arrays` wrote.

    Raises:
        TriptychError: the file is damaged.
    """
    try:
        with np.load(path) as file:
            return {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, KeyError, BadZipFile) as error:
        raise TriptychError(f"{path} cannot be read ({error}); delete it and run again") from error


def write_tensors(path: Path, tensors: "Mapping[str, Tensor]") -> None:
    """Write contiguous CPU tensors as `.safetensors`.

    `safetensors.torch.save_file` would hide a full disk: it raises an error without an errno.

    Raises:
        OSError: the disk is full, or whatever else the system reports.
    """
    from safetensors.torch import save

    path.write_bytes(save(dict(tensors)))


def digest_of_file(path: str | Path, algorithm: str = "sha256") -> str:
    """Hex digest of a file, read in pieces so that large archives need no memory."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def hash_mismatch(path: str | Path, expected: Mapping[str, str]) -> str | None:
    """Compare a file with `{algorithm: hex digest}`; one line about the first difference, or None."""
    for algorithm, digest in expected.items():
        found = digest_of_file(path, algorithm)
        if found != digest.lower():
            return f"wrong {algorithm}: expected {digest}, got {found}"
    return None


def digest_of_value(value: Any) -> str:
    """Hex SHA-256 of a JSON-like value, independent of the order of dictionary keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_files(paths: list[str]) -> str:
    """Hex SHA-256 over the contents of several files, independent of their order and place."""
    return digest_of_value(sorted(digest_of_file(path) for path in paths))
