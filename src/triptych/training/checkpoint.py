"""Checkpoints, from which a killed training resumes with the same result.

They are kept outside every rule's output, because Snakemake deletes the outputs of failed jobs.
"""

import hashlib
import io
import logging
import time
from pathlib import Path
from typing import Any

import torch

from triptych.training.stopping import stop_if_requested, stop_requested
from triptych.workflow.errors import is_out_of_memory
from triptych.workflow.files import atomic_path

log = logging.getLogger("triptych")

KEPT = 2
UNREADABLE = ".unreadable"
DIGEST = 32  # bytes of the SHA-256 that a file ends with: torch's reader would accept changed numbers


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: where they are kept, `results/checkpoints/<run>`.
        fingerprint: digest of everything that decides the result (recipe, seed, data, code).
            A checkpoint with another fingerprint belongs to another training and is discarded.
        every: seconds between two checkpoints.
        conditions: number format and machine, which decide the last bits and may change from one part of
            a run to the next.
    """

    def __init__(
        self, folder: str | Path, fingerprint: str, *, every: float = 300.0, conditions: str = ""
    ) -> None:
        self.folder, self.fingerprint, self.every = Path(folder), fingerprint, every
        self.conditions = conditions
        self._last = time.monotonic()

    def _files(self) -> list[Path]:
        """Oldest first, by time: a run that skipped an unreadable file may be behind it in steps."""
        found = self.folder.glob("step-*.pt")
        return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name))

    def newest(self) -> Path | None:
        """The file that a resumed run would continue from."""
        return self._files()[-1] if self._files() else None

    def load(self) -> dict[str, Any] | None:
        """The newest usable state, or None to start from the beginning.

        To be called before the first `save`. Removes half-written files of a process that was killed while
        it saved, and renames damaged ones: they must count neither as the newest nor as one of two.
        """
        for torn in self.folder.glob(".step-*.pt"):
            torn.unlink()
        for path in reversed(self._files()):
            try:
                saved = _read(path)
            except OSError as error:  # of the disk, perhaps temporary
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
                state: dict[str, Any] = saved["state"]
                return state
            log.info("discarding %s: it belongs to another recipe, data set or version of the code", path)
            path.unlink()
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
        """Whether it is time for the next one, or the last occasion."""
        return stop_requested() or time.monotonic() - self._last >= self.every

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint atomically and drop all but the newest two.

        `state` may hold tensors, numbers, strings, lists and dictionaries only, so that it
        loads with `weights_only=True`.

        Raises:
            OSError: the disk is full, for instance.
            SystemExit: a signal has requested the end (see `stopping`).
        """
        # Into memory first: torch's writer would turn a full disk into an error without an errno.
        content = io.BytesIO()
        saved = {"fingerprint": self.fingerprint, "conditions": self.conditions, "state": state}
        torch.save(saved, content)
        with atomic_path(self.folder / f"step-{step:09d}.pt") as temporary:
            content.write(hashlib.sha256(content.getbuffer()).digest())
            temporary.write_bytes(content.getbuffer())
        for old in self._files()[:-KEPT]:
            old.unlink()
        self._last = time.monotonic()
        stop_if_requested(step)

    def remove(self) -> None:
        """Delete them all: the run is complete and its outputs are written."""
        for path in [*self._files(), *self.folder.glob(f"step-*{UNREADABLE}")]:
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def _read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        OSError: the disk cannot be read.
        Exception: the file is torn or changed, or of another version of torch.
    """
    content = memoryview(path.read_bytes())
    if hashlib.sha256(content[:-DIGEST]).digest() != content[-DIGEST:]:
        raise ValueError("its checksum is wrong")
    saved: dict[str, Any] = torch.load(io.BytesIO(content[:-DIGEST]), map_location="cpu", weights_only=True)
    return saved
