"""Locks of files, which the operating system releases however the process that holds them ends."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from triptych.workflow.errors import TriptychError

log = logging.getLogger("triptych")

WAIT_SECONDS = 90.0  # longer than a job goes on whose Snakemake was killed
RUNNING = Path(".snakemake/running.lock")
SNAKEMAKE_LOCKS = Path(".snakemake/locks")

_running: list[TextIO] = []  # held until this process ends


@contextmanager
def locked(path: Path, what: str) -> Iterator[None]:
    """Hold the lock file `path`: no other process works on `what` meanwhile.

    Waits for a process that holds it. A file system without locks is named in the log, and nothing is locked.

    Raises:
        TriptychError: the other process does not end.
    """
    file = _wait_for(path, what)
    try:
        yield
    finally:
        # Before it is released: a process that waits for it notices that the file is gone.
        path.unlink(missing_ok=True)
        file.close()


def _wait_for(path: Path, what: str) -> TextIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline, waiting = time.monotonic() + WAIT_SECONDS, False
    while True:
        file = open(path, "a+")  # noqa: SIM115 (stays open)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                log.warning("%s cannot be locked for this process: %s", what, error.strerror)
                return file
            file.seek(0)
            owner = file.read()
            file.close()
            if time.monotonic() > deadline:
                raise TriptychError(
                    f"{what} is in use by process {owner}; end that process and run again"
                ) from None
            if not waiting:
                log.info("waiting for process %s, which still uses %s", owner, what)
            waiting = True
            time.sleep(0.5)
            continue
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                file.truncate(0)
                file.write(f"{os.getpid()} on {os.uname().nodename}")
                file.flush()
                return file
        file.close()


def release_stale_locks() -> None:
    """Remove the locks of Snakemakes that were killed, so that the folder needs no `--unlock`.

    Snakemake's own locks are files that stay. Therefore every Snakemake also shares the lock of a file as
    long as it runs: if nobody holds that one, nobody is left to whom the others belong.
    """
    known = RUNNING.exists()  # if not, the others may be those of a Snakemake without this lock
    RUNNING.parent.mkdir(exist_ok=True)
    file = RUNNING.open("a+")
    _running.append(file)
    with suppress(OSError):  # a file system without locks: `--unlock` remains
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # another one is running
            pass
        else:
            for path in SNAKEMAKE_LOCKS.glob("*.lock") if known else []:
                path.unlink()
        fcntl.lockf(file, fcntl.LOCK_SH)
