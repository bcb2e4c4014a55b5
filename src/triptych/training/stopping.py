"""Ctrl-C, and the SIGTERM of a cluster whose time is up, as a request for a checkpoint."""

import logging
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger("triptych")

SIGNALS = (signal.SIGINT, signal.SIGTERM)

_received: list[int] = []


@contextmanager
def saving_when_stopped(ask: Callable[[int], None] | None = None) -> Iterator[None]:
    """Within, the first SIGINT or SIGTERM makes the next checkpoint due, after which the process ends.

    A second SIGINT (somebody's Ctrl-C) ends it as if this were not there. A second SIGTERM changes
    nothing: schedulers send several, and SIGKILL if they mean it. Does nothing outside the main
    thread, which alone may handle signals.

    Args:
        ask: called with the first signal's number; by default `ask_to_stop`. It must not fail.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    asked = False

    def note(number: int, _frame: Any) -> None:
        nonlocal asked
        if not asked:
            asked = True
            (ask or ask_to_stop)(number)
        elif number == signal.SIGINT:
            restore()
            signal.raise_signal(number)

    for number in SIGNALS:
        signal.signal(number, note)
    try:
        yield
    finally:
        restore()
        _received.clear()


def ask_to_stop(number: int) -> None:
    """Make the next checkpoint due, as if this signal had come."""
    _received.append(number)


def asked_to_stop() -> bool:
    """Whether a signal has come."""
    return bool(_received)


def stop_if_asked(step: int) -> None:
    """End the process if a signal has come; the state after `step` steps has been saved.

    Raises:
        SystemExit: with 128 plus the signal's number, as a shell would put it.
    """
    if _received:
        log.info("stopped after step %d, which is saved; run again to go on from there", step)
        raise SystemExit(128 + _received[0])
