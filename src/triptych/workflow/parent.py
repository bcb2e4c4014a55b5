"""A job ends with the Snakemake that started it, however that one ends."""

import logging
import os
import signal
import threading
import time

import psutil

log = logging.getLogger("triptych")

POLL_SECONDS = 1.0
GRACE_SECONDS = 60.0  # from SIGTERM, on which a training saves, to SIGKILL


def end_with_snakemake() -> None:
    """End this process soon after one of the processes up to the topmost Snakemake above it has ended.

    A killed Snakemake does not end its jobs: they would go on, and later replace the results of the next run.
    Does nothing if there is no Snakemake above, as in a test.
    """
    above = psutil.Process().parents()
    tops = [index for index, process in enumerate(above) if _is_snakemake(process)]
    if tops:
        watched = above[: tops[-1] + 1]
        threading.Thread(target=_end_after, args=(watched,), name="parent", daemon=True).start()


def _is_snakemake(process: psutil.Process) -> bool:
    try:
        return any(os.path.basename(word) == "snakemake" for word in process.cmdline()[:4])
    except psutil.Error:  # it has just ended, or belongs to another user
        return False


def _end_after(watched: list[psutil.Process]) -> None:
    while all(process.is_running() for process in watched):
        time.sleep(POLL_SECONDS)
    log.warning("Snakemake has ended, so this job ends, too")
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
