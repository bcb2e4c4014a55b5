"""Ctrl-C, hang-up, and a scheduler's signals before the time limit request a checkpoint before the end.

Slurm sends SIGTERM, Grid Engine SIGUSR1 or SIGUSR2; Slurm's `--signal` and LSF's `-wa` any of them.
"""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger("triptych")

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

_received: list[int] = []


@contextmanager
def saving_when_stopped(request: Callable[[int], None] | None = None) -> Iterator[None]:
    """Within, the first of `SIGNALS` makes the next checkpoint due, after which the process ends.

    A second SIGINT (Ctrl-C) ends the process at once. A second signal of another kind has no effect:
    schedulers send several before SIGKILL. SIGHUP stays ignored under nohup. No effect outside the main
    thread, which alone may handle signals. `request` is called with the first signal's number; it must not
    fail.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    requested = False

    def handle(number: int, _frame: Any) -> None:
        nonlocal requested
        if not requested:
            requested = True
            (request or request_stop)(number)
        elif number == signal.SIGINT:
            restore()
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        restore()
        _received.clear()


def request_stop(number: int) -> None:
    """Make the next checkpoint due, as if this signal had been received."""
    _received.append(number)


def stop_requested() -> bool:
    """Whether a signal has been received."""
    return bool(_received)


def stop_if_requested(step: int) -> None:
    """End the process, with 128 plus its number, if a signal came; the state after `step` is saved."""
    if _received:
        log.info("stopped after step %d, which is saved; run again to continue from there", step)
        raise SystemExit(128 + _received[0])
