"""Sharing of one machine's GPUs among jobs that run at the same time.

On a cluster every job sees its own GPUs only. On a single machine all jobs see all GPUs and would use the
first. Here a job locks one file for each GPU that it uses and hides the others from its process. The
operating system releases the locks when the process ends, however it ends.
"""

import fcntl
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger("triptych")

# Not the folder that TMPDIR names: it may be another one for each user or job.
LOCKS = Path("/tmp/triptych-gpus")
_held: list[int] = []  # file descriptors: open, hence locked, as long as this process lives


def claim_gpus(wanted: int, count: int, *, folder: Path = LOCKS, every: float = 1.0) -> None:
    """Reserve `wanted` of the visible GPUs, and make no others visible to this process and its children.

    Waits while too few are free. Does nothing if there is no choice: no GPU, only one, or fewer than wanted.
    Must be called before CUDA starts.

    Args:
        wanted: number of GPUs.
        count: number that this process can see; `CUDA_VISIBLE_DEVICES` overrides it.
        folder: of the locks, the same for all jobs of the machine.
        every: seconds between two attempts.
    """
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    numbers = [str(number) for number in range(count)]
    names = numbers if named is None else [name.strip() for name in named.split(",") if name.strip()]
    if len(names) < 2 or wanted > len(names):
        return
    taken = _take(names, wanted, folder)
    if not taken:
        log.info("waiting until %d of the GPUs %s are free", wanted, ", ".join(names))
    while not taken:
        time.sleep(every)
        taken = _take(names, wanted, folder)
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(taken)
    log.info("on GPU %s of %s", ", ".join(taken), ", ".join(names))


def hide_gpus() -> None:
    """Make no GPU visible to this process and its children. Must be called before CUDA starts."""
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


def _take(names: Sequence[str], wanted: int, folder: Path) -> list[str]:
    """Lock the first `wanted` free ones, or none: holding some while waiting for more blocks others."""
    locked: dict[str, int] = {}
    for name in names:
        if len(locked) < wanted and (descriptor := _lock(name, folder)) is not None:
            locked[name] = descriptor
    if len(locked) < wanted:
        for descriptor in locked.values():
            os.close(descriptor)
        return []
    _held.extend(locked.values())
    return list(locked)


def _lock(name: str, folder: Path) -> int | None:
    """A descriptor that holds the lock of one GPU, or None if another process has it."""
    # Slurm numbers the GPUs of each job from 0, so the locks of two jobs must not be shared.
    scope = os.environ.get("SLURM_JOB_ID", "machine")
    path = folder / f"{scope}-{name.replace('/', '-')}.lock"
    before = os.umask(0)  # every user may lock these files
    try:
        folder.mkdir(mode=0o777, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    finally:
        os.umask(before)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
