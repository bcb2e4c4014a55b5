"""Downloads that survive broken connections and are checked before anything reads them.

The bytes gather in a `.part` file outside every rule's output, so that a killed or failed job
continues where it stopped. It becomes the target only once its hashes are right.
"""

import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests
import urllib3

from triptych.workflow.errors import TriptychError
from triptych.workflow.files import hash_mismatch
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

TEMPORARY = {408, 425, 429}  # HTTP statuses that, like every 5xx, may be over at the next attempt


class _Permanent(Exception):
    """The mirror cannot deliver the file."""


class _Temporary(Exception):
    """The next attempt may succeed."""


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _reason(error: Exception) -> str:
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError):
        return "timed out"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, urllib3.exceptions.ProtocolError):
        return "connection broke"
    return next(iter(str(error).splitlines()), type(error).__name__)


def _fetch(url: str, part: Path, timeout: tuple[float, float]) -> None:
    """Append to `part` what it lacks of `url`; start over if the server cannot resume."""
    start = _size(part)
    # identity: the hash is that of the file, not of what a server compresses on the way
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    try:
        with requests.get(url, headers=headers, stream=True, timeout=timeout) as response:
            status, content_range = response.status_code, response.headers.get("Content-Range", "")
            if status >= 500 or status in TEMPORARY:
                raise _Temporary(f"HTTP {status}")
            resumed = status == 206 and content_range.startswith(f"bytes {start}-")
            if status == 416 or (status == 206 and not resumed):
                part.unlink(missing_ok=True)
                raise _Temporary("the partial file did not fit")
            if status not in (200, 206):
                raise _Permanent(f"HTTP {status}")
            if start:
                log.info("%s at byte %d of %s", "resuming" if resumed else "restarting, not", start, url)
            start = start if resumed else 0
            total, label = start + int(response.headers.get("Content-Length", 0)), url.rsplit("/", 1)[-1]
            with (
                part.open("ab" if resumed else "wb") as stream,
                Progress(total, label, unit="B", start=start) as progress,
            ):
                for block in response.raw.stream(2**16, decode_content=False):
                    stream.write(block)
                    progress.update(len(block))
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise _Temporary(_reason(error)) from error


def download(
    target: str | Path,
    *,
    mirrors: Sequence[str],
    hashes: Mapping[str, str],
    part: str | Path,
    rounds: int = 4,
    backoff: float = 2.0,
    timeout: tuple[float, float] = (10.0, 60.0),
) -> str:
    """Bring a file of known hashes to `target` from the first mirror that delivers it.

    Mirrors are tried in turn, each from where the last one stopped. After a round without
    progress comes a pause, twice as long each time; mirrors that answer 4xx or deliver another
    file are not tried again.

    Args:
        target: path of the complete, checked file.
        mirrors: addresses of the same file.
        hashes: `{algorithm: hex digest}`, all of which must be right.
        part: file that gathers the bytes, on the target's file system; it stays after a failure,
            and the next call continues it.
        rounds: number of rounds without progress before giving up.
        backoff: first pause in seconds.
        timeout: seconds to wait for a connection and for the next bytes.

    Returns:
        The mirror that finished the file.

    Raises:
        TriptychError: no mirror delivered; the message says what each one did.
        OSError: the disk is full.
    """
    target, part = Path(target), Path(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and hash_mismatch(part, hashes) is None:
        os.replace(part, target)
        return str(part)

    remaining, reasons = list(mirrors), dict.fromkeys(mirrors, "not tried")
    received, failures = _size(part), 0
    while remaining and failures < rounds:
        if failures:
            time.sleep(backoff * 2 ** (failures - 1))
        before = received
        for url in list(remaining):
            resumed = _size(part) > 0
            try:
                _fetch(url, part, timeout)
                problem = hash_mismatch(part, hashes)
                if problem is None:
                    os.replace(part, target)
                    return url
                part.unlink()
                reasons[url] = f"{problem}; what came was deleted"
                if not resumed:  # else the fault may lie in what was there before
                    remaining.remove(url)
            except _Permanent as error:
                reasons[url] = str(error)
                remaining.remove(url)
            except _Temporary as error:
                reasons[url] = str(error)
            received = max(received, _size(part))
            log.warning("%s: %s", url, reasons[url])
        failures = 0 if received > before else failures + 1
    tried = "; ".join(f"{url} ({reason})" for url, reason in reasons.items())
    raise TriptychError(
        f"cannot download {target.name}: {tried}. Check the network or the data set's `mirrors` and hashes, "
        "or put the archive on this machine and use `source: archive` with its `path`"
    )
