"""The body of an HTTP answer, in blocks, from a server that may stall, dribble, lie or never stop."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests
import urllib3

BLOCK = 2**16  # bytes read at most at once
TEMPORARY = {408, 425, 429}  # HTTP statuses that, like every 5xx, may be over at the next attempt


class Permanent(Exception):
    """The server does not have the file."""


class Temporary(Exception):
    """The next attempt may succeed."""


def _explain(error: Exception) -> Exception:
    """A failure of a connection as one of the two; the text has no address, which may hold a password."""
    if isinstance(error, requests.TooManyRedirects):
        return Permanent("redirects in a circle")
    if isinstance(error, requests.exceptions.SSLError | urllib3.exceptions.SSLError):
        return Temporary("its certificate cannot be checked")
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return Temporary("timed out")
    if isinstance(error, requests.ConnectionError):
        return Temporary("no connection")
    if isinstance(error, urllib3.exceptions.ProtocolError | OSError) and not isinstance(error, ValueError):
        return Temporary("connection broke")
    return Permanent(f"not a valid address or answer: {type(error).__name__}")


def _receive(
    url: str,
    headers: Mapping[str, str],
    timeout: tuple[float, float],
    received: "queue.Queue[Any]",
    ended: threading.Event,
) -> None:
    """Put the answer, its blocks and at last b"", or an exception, into `received` until `ended` is set."""

    def put(item: object) -> None:
        while not ended.is_set():
            try:
                return received.put(item, timeout=0.5)
            except queue.Full:
                pass

    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            put(response)
            block = b"start"
            while block and not ended.is_set():
                block = response.raw.read1(BLOCK, decode_content=False) or b""
                put(block)
    except Exception as error:
        put(error)


@contextmanager
def open_stream(
    url: str, *, start: int, timeout: tuple[float, float], least_speed: float
) -> Iterator[tuple[requests.Response, Iterator[bytes]]]:
    """Request the bytes of a file from `start` on; the answer, with a status below 400, and its blocks.

    The answer is received in a thread of its own, which is abandoned if the server is too slow: no way of
    sending bytes one by one, in headers or between blocks, holds the caller. A server may ignore `start`
    (status 200 instead of 206). `timeout` is that of a connection, and of the next bytes; `least_speed` is in
    bytes per second, as a mean over the second timeout.

    Raises:
        Permanent: the server says that it does not have the file, or its answer makes no sense.
        Temporary: anything else, also while the blocks are read.
    """
    # identity: the hash is that of the file, not of what a server compresses on the way
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    received: queue.Queue[Any] = queue.Queue(maxsize=16)
    ended = threading.Event()

    def take(seconds: float) -> Any:
        try:
            item = received.get(timeout=seconds)
        except queue.Empty:
            raise Temporary("timed out") from None
        if isinstance(item, Exception):
            raise _explain(item) from item
        return item

    def blocks() -> Iterator[bytes]:
        began, count = time.monotonic(), 0
        while block := take(timeout[1]):
            yield block
            count += len(block)
            elapsed = time.monotonic() - began
            if elapsed >= timeout[1]:
                if count < least_speed * elapsed:
                    raise Temporary(f"slower than {least_speed:g} bytes/s")
                began, count = time.monotonic(), 0

    threading.Thread(target=_receive, args=(url, headers, timeout, received, ended), daemon=True).start()
    try:
        response = take(sum(timeout))
        status = response.status_code
        if status >= 500 or status in TEMPORARY:
            raise Temporary(f"HTTP {status}")
        if status >= 400 and status != 416:
            raise Permanent(f"HTTP {status}")
        yield response, blocks()
    finally:
        ended.set()
