"""Checkpoints, from which a killed training resumes with the same result.

They are kept outside every rule's output, because Snakemake deletes the outputs of failed jobs. They stay
until Snakemake has accepted the outputs (`triptych.workflow.records.remove_finished_checkpoints`).
"""

import hashlib
import io
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from triptych.training.stopping import stop_if_requested, stop_requested
from triptych.workflow.errors import TriptychError, is_out_of_memory, printable
from triptych.workflow.files import atomic_path

log = logging.getLogger("triptych")

KEEP_NEWEST = 2  # checkpoints
UNREADABLE = ".unreadable"
DIGEST = 32  # bytes of the SHA-256 at the end of a file: torch's reader would accept changed numbers


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: `results/checkpoints/<run>`.
        fingerprint: digest of everything that decides the result (recipe, seed, data, code); a checkpoint
            with another one belongs to another training. It stays until this one has its first, so that a
            change which is undone at once costs nothing.
        conditions: precision and hardware in words. They may differ when a run resumes, which changes the
            last bits of the result: `load` then warns.
    """

    def __init__(
        self, folder: str | Path, fingerprint: str, *, every: float = 300.0, conditions: str = ""
    ) -> None:
        self.folder, self.fingerprint, self.every = Path(folder), fingerprint, every
        self.conditions = conditions
        self._others: list[Path] = []  # of other trainings
        self._last = time.monotonic()

    def _files(self) -> list[Path]:
        """The files, oldest first, by time: after an unreadable file a run may write one with fewer steps."""
        found = self.folder.glob("step-*.pt")
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def newest(self) -> Path | None:
        """The file from which a resumed run would continue."""
        return self._files()[-1] if self._files() else None

    def load(self) -> dict[str, Any] | None:
        """The newest usable state, or None to start from the beginning.

        Call it before the first `save`. Removes half-written files of a process that was killed while it
        saved, and renames damaged ones, so that they do not count as one of the newest two.
        """
        for partial in self.folder.glob(".step-*.pt"):
            partial.unlink()
        for path in reversed(self._files()):
            try:
                saved = _read(path)
            except OSError as error:  # an error of the disk, perhaps temporary
                log.warning("checkpoint %s cannot be read (%s); trying an older one", path, error)
                continue
            except Exception as error:
                if is_out_of_memory(error):
                    raise
                aside = path.replace(path.with_suffix(UNREADABLE))
                log.warning("checkpoint %s cannot be read (%s); trying an older one", aside, error)
                continue
            if saved.get("fingerprint") == self.fingerprint:
                log.info("resuming from %s", path)
                self._compare_conditions(saved["conditions"])
                return saved["state"]
            log.info("%s is of another recipe, data set or version of the code; not resumed", path)
            self._others.append(path)
        return None

    def _compare_conditions(self, saved: str) -> None:
        if saved != self.conditions:
            log.warning(
                "the training ran in %s and resumes in %s: the result may differ from an uninterrupted "
                "run's in its last bits, and its record names the latter",
                saved,
                self.conditions,
            )

    def due(self) -> bool:
        """Whether it is time for the next checkpoint, or a stop is requested."""
        return stop_requested() or time.monotonic() - self._last >= self.every

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint atomically and drop all but the newest two.

        `state` may hold tensors, numbers, strings, lists and dictionaries only, so that it loads with
        `weights_only=True`. Raises `OSError` if the disk is full, and `SystemExit` if a signal has requested
        the end.
        """
        # Into memory first: torch's writer would turn a full disk into an error without an errno.
        content = io.BytesIO()
        saved = {"fingerprint": self.fingerprint, "conditions": self.conditions, "state": state}
        torch.save(saved, content)
        target = self.folder / f"step-{step:09d}.pt"
        with atomic_path(target) as temporary:
            content.write(hashlib.sha256(content.getbuffer()).digest())
            temporary.write_bytes(content.getbuffer())
        newest = self._files()[-1]
        if newest != target:  # the clock was set back
            later = newest.stat().st_mtime_ns + 1
            os.utime(target, ns=(later, later))
        for old in [*(other for other in self._others if other != target), *self._files()[:-KEEP_NEWEST]]:
            old.unlink(missing_ok=True)
        self._others = []
        self._last = time.monotonic()
        stop_if_requested(step)


def _read(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint; `OSError` if the disk fails, others if the file is torn or too old."""
    content = memoryview(path.read_bytes())
    if hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
        raise ValueError("its checksum is wrong")
    saved: Any = torch.load(io.BytesIO(content[:-DIGEST]), map_location="cpu", weights_only=True)
    if not isinstance(saved, dict) or not {"fingerprint", "conditions", "state"} <= saved.keys():
        raise ValueError("it is no checkpoint of a training")
    return saved


@contextmanager
def restoring(checkpoints: Checkpoints) -> Iterator[None]:
    """Within it, a state that does not fit the training becomes a `TriptychError`."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise TriptychError(
            f"{checkpoints.folder}: the checkpoint is none of this training "
            f"({printable(str(error) or type(error).__name__)}); delete the folder and run again"
        ) from error
