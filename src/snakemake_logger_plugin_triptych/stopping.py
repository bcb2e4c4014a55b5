"""Ends the jobs of a run that a signal stops."""

import signal
import time
from contextlib import suppress

import psutil

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GRACE_SECONDS = 60.0  # in which jobs end after SIGTERM, on which a training saves


def end_jobs() -> None:
    """Send SIGTERM to the jobs, which a terminal does only for Ctrl-C, and wait until they have ended.

    Their shells may end before them. They are not reaped here: Snakemake reads their exit codes.
    """
    jobs = psutil.Process().children(recursive=True)
    deadline = time.monotonic() + GRACE_SECONDS
    for job in jobs:
        with suppress(psutil.Error):
            job.terminate()
    while any(map(_is_alive, jobs)) and time.monotonic() < deadline:
        time.sleep(0.1)


def _is_alive(job: psutil.Process) -> bool:
    try:
        return job.is_running() and job.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
