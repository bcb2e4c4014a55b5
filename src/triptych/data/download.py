"""Downloads that survive bad connections and bad mirrors, and are checked before anything reads them.

The bytes gather in a `.part` file outside every rule's output, so that a killed or failed job
continues where it stopped. It becomes the target only once its hashes are right.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import requests

from triptych.data.http_stream import Permanent, Temporary, open_stream
from triptych.workflow.errors import TriptychError, without_passwords
from triptych.workflow.files import hash_mismatch, move_file
from triptych.workflow.progress import Progress

log = logging.getLogger("triptych")

MAX_BYTES = 2**30  # of a file whose size is not known; the official archives have a sixth of it
# Bytes per second in the first, the second and all later rounds: a slow mirror is used if none is faster.
LEAST_SPEEDS = (100_000.0, 10_000.0, 1000.0)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _offset(response: requests.Response, start: int, size: int | None) -> int:
    """Place of the answer's first byte in the file; raises `Permanent` or `Temporary` if it is another."""
    content_range = response.headers.get("Content-Range", "")
    resumed = response.status_code == 206 and content_range.startswith(f"bytes {start}-")
    if response.status_code == 416 or (response.status_code == 206 and not resumed):
        raise Temporary("the partial file did not fit")
    if response.status_code not in (200, 206):
        raise Permanent(f"HTTP {response.status_code}")
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise Permanent("sends a web page instead of the file")
    offset = start if resumed else 0
    length = response.headers.get("Content-Length", "")
    total = offset + int(length) if length.isdigit() else None
    if total is not None and (total > MAX_BYTES if size is None else total != size):
        raise Permanent(f"has another file, of {total} bytes")
    return offset


def _fetch(url: str, part: Path, size: int | None, timeout: tuple[float, float], least_speed: float) -> None:
    """Append to `part` what it lacks of a file of `size` bytes (None: unknown).

    If the server cannot resume, what `part` has already is skipped. If it sends something else, `part` is
    as it was before.
    """
    start, label = _size(part), without_passwords(url).rsplit("/", 1)[-1]
    with open_stream(url, start=start, timeout=timeout, least_speed=least_speed) as (response, blocks):
        try:
            position = _offset(response, start, size)
        except Temporary:
            part.unlink(missing_ok=True)
            raise
        if start:
            log.info(
                "%s at byte %d", "resuming" if position else "not resumed by the server, skipping", start
            )
        with part.open("ab") as stream, Progress(size or 0, label, unit="B", start=position) as progress:
            for block in blocks:
                progress.update(len(block))
                position += len(block)
                if position > (size or MAX_BYTES):
                    stream.truncate(start)
                    raise Permanent(f"sends more than the {size or MAX_BYTES} bytes of the file")
                stream.write(block[max(0, len(block) - (position - start)) :])
        if position < (size or start):
            raise Temporary(f"ended after {position} bytes" + (f" of {size}" if size else ""))


def _fetch_alone(
    url: str, part: Path, size: int | None, timeout: tuple[float, float], least_speed: float
) -> None:
    """Get the whole file from one mirror, again and again while each attempt brings something."""
    part.unlink(missing_ok=True)
    while True:
        before = _size(part)
        try:
            return _fetch(url, part, size, timeout, least_speed)
        except Temporary:
            if _size(part) - before < least_speed * timeout[1]:
                raise


def download(
    target: str | Path,
    *,
    mirrors: Sequence[str],
    hashes: Mapping[str, str],
    part: str | Path,
    size: int | None = None,
    rounds: int = 4,
    backoff: float = 2.0,
    timeout: tuple[float, float] = (10.0, 60.0),
    least_speeds: Sequence[float] = LEAST_SPEEDS,
) -> str:
    """Bring a file of known hashes to `target` from the first mirror that delivers it, which is returned.

    Mirrors are tried in turn, each from where the last one stopped. If the whole is wrong then, the last
    mirror is tried alone from the start, so that a mirror with wrong bytes spoils no other. After a round
    without progress comes a pause, twice as long each time; mirrors that answer 4xx or deliver another file
    are not tried again.

    Args:
        hashes: `{algorithm: hex digest}`, all of which must be right.
        part: file that gathers the bytes; it stays after a failure, and the next call continues it.
        size: bytes of the file, if known: a mirror that announces or sends another number is cut off.
        timeout: seconds to wait for a connection and for the next bytes.
        least_speeds: bytes per second, as a mean over the second timeout, below which the next mirror is
            tried: in the first round, in the second, and so on; the last one stands for all later rounds.

    Raises:
        TriptychError: no mirror delivered; the message says what each one did.
        OSError: the disk is full.
    """
    target, part = Path(target), Path(part)
    target.parent.mkdir(parents=True, exist_ok=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    if part.exists() and hash_mismatch(part, hashes) is None:
        move_file(part, target)
        return str(part)
    if _size(part) >= (size or MAX_BYTES):
        part.unlink()

    remaining, reasons = list(dict.fromkeys(mirrors)), dict.fromkeys(mirrors, "not tried")
    received, failures, number = _size(part), 0, 0
    while remaining and failures < rounds:
        if failures:
            time.sleep(backoff * 2 ** (failures - 1))
        before, least_speed = received, least_speeds[min(number, len(least_speeds) - 1)]
        for url in list(remaining):
            mixed = _size(part) > 0
            try:
                _fetch(url, part, size, timeout, least_speed)
                problem = hash_mismatch(part, hashes)
                if problem and mixed:  # the fault may lie in what was there before
                    log.warning("%s: %s; trying this mirror alone", without_passwords(url), problem)
                    _fetch_alone(url, part, size, timeout, least_speed)
                    problem = hash_mismatch(part, hashes)
                if problem is None:
                    move_file(part, target)
                    return without_passwords(url)
                part.unlink()
                reasons[url] = f"{problem}; what came was deleted"
                remaining.remove(url)
            except Permanent as error:
                reasons[url] = str(error)
                remaining.remove(url)
            except Temporary as error:
                reasons[url] = str(error)
            received = max(received, _size(part))
            log.warning("%s: %s", without_passwords(url), reasons[url])
        number += 1
        # a mirror that dribbles makes no progress, or it would hold the job for ever
        failures = 0 if received - before > least_speeds[-1] * timeout[1] else failures + 1
    tried = "; ".join(f"{without_passwords(url)} ({reason})" for url, reason in reasons.items())
    raise TriptychError(
        f"cannot download {target.name}: {tried}. Check the network or the data set's `mirrors` and hashes, "
        "or put the archive on this machine and use `source: archive` with its `path`"
    )
