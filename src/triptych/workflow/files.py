"""Files that are either complete or absent.

Everything is written to a temporary name in the target's folder and renamed with
`os.replace`, so that a killed job or a full disk never leaves a file that looks finished.
"""

import hashlib
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


@contextmanager
def atomic_path(target: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`; rename it to `target` if the body succeeds.

    The temporary name keeps the target's suffix, because many writers choose the
    format by it. On any exception the temporary file is removed and `target` is untouched.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=target.suffix, dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        # mkstemp makes private files; results follow the user's umask like any other file.
        os.umask(mask := os.umask(0))
        temporary.chmod(0o666 & ~mask)
        _reach_the_disk(temporary)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def _reach_the_disk(path: Path) -> None:
    """A power cut must not leave the new name with a content that was still on its way."""
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
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(target: str | Path, text: str) -> None:
    """Write UTF-8 `text` atomically."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _without_nonfinite(value: Any) -> Any:
    """Replace NaN and infinities by None: standard JSON has no spelling for them."""
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


def read_json(path: str | Path) -> Any:
    """Read a JSON file."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


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
