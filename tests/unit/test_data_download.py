"""Downloads from a real HTTP server that misbehaves on demand."""

import contextlib
import errno
import hashlib
import http.server
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest

from triptych.data.download import download
from triptych.workflow.errors import TriptychError

CONTENT = hashlib.shake_256(b"content").digest(3_000_000)
HASHES = {"sha256": hashlib.sha256(CONTENT).hexdigest(), "md5": hashlib.md5(CONTENT).hexdigest()}


WRONG = hashlib.shake_256(b"wrong").digest(len(CONTENT))


def dribble(text, released):
    """A text without end, a byte at a time."""
    yield text
    while not released.wait(0.05):
        yield b"x"


def endless(released):
    yield b"HTTP/1.0 200 OK\r\n\r\n"
    while not released.is_set():
        yield bytes(2**16)


def ok(content, *headers):
    """A whole answer of a server that knows no ranges, or the beginning of one."""
    lines = ("HTTP/1.0 200 OK", *headers, "", "")
    return lambda _: ["\r\n".join(lines).encode(), content]


LENGTH = f"Content-Length: {len(CONTENT)}"
# How some servers answer any request, by the name that stands in the path.
ODD_ANSWERS = {
    "dribbles": lambda released: dribble(f"HTTP/1.0 200 OK\r\n{LENGTH}\r\n\r\n".encode(), released),
    "dribbles-headers": lambda released: dribble(b"HTTP/1.0 200 OK\r\nX: ", released),
    "dribbles-chunks": lambda released: dribble(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", released
    ),
    "endless": endless,
    "missing": lambda _: [b"HTTP/1.0 404 Not Found\r\n\r\n"],
    "other": ok(b"something else entirely"),
    "web-page": ok(b"<html>Log in first</html>", "Content-Type: text/html; charset=utf-8"),
    "wrong": ok(WRONG, LENGTH),
    "half-wrong": ok(WRONG[: len(WRONG) // 2], LENGTH),
    "half": ok(CONTENT[: len(CONTENT) // 2]),
    "short": ok(CONTENT[:100_000], "Content-Length: 100000"),
    "long": ok(CONTENT + b"x", f"Content-Length: {len(CONTENT) + 1}"),
    "circle": lambda _: [b"HTTP/1.0 302 Found\r\nLocation: /circle/file.tar.gz\r\n\r\n"],
    "elsewhere": lambda _: [b"HTTP/1.0 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n"],
    "no-http": lambda _: [b"220 ftp.example.org ready\r\n"],
}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; the path says how badly, and `requests` logs (path, Range header, bytes sent)."""

    def do_GET(self):
        way = self.path.split("/")[1]
        if way in ODD_ANSWERS:
            self.server.requests.append((self.path, self.headers.get("Range"), 0))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                for piece in ODD_ANSWERS[way](self.server.released):
                    self.wfile.write(piece)
            return
        asked = self.headers.get("Range") if way != "no-range" else None
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        seen = sum(path == self.path for path, _, _ in self.server.requests)
        status, content, stop = 206 if asked else 200, CONTENT, len(CONTENT)
        if (way == "busy" and seen < 2) or (way == "dies" and seen > 0):
            status, content, start = 503, b"later", 0
        elif start >= len(CONTENT):
            status, content, start = 416, b"", 0
        elif (way == "drops" and seen < 3) or way in ("always-drops", "dies"):
            stop = start + 700_000
        elif way == "stalls":
            stop = start if seen else 700_000
        stop = min(stop, len(content))
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.server.requests.append((self.path, self.headers.get("Range"), stop - start))
        self.end_headers()
        self.wfile.write(content[start:stop])
        if way == "stalls":
            self.server.released.wait(10)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.requests, running.released = [], threading.Event()
        running.url = f"http://127.0.0.1:{running.server_address[1]}"
        threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
        yield running
        running.released.set()
        running.shutdown()


@pytest.fixture
def fetch(tmp_path, server):
    """Download from mirrors given by their way of behaving; returns the finished file's content."""

    def run(*ways, **options):
        options = {"hashes": HASHES, "backoff": 0.01, "rounds": 3, "timeout": (2, 0.5)} | options
        mirrors = [way if "://" in way else f"{server.url}/{way}/file.tar.gz" for way in ways]
        target = tmp_path / "downloads/file.tar.gz"
        mirror = download(target, mirrors=mirrors, part=tmp_path / "parts/file.tar.gz.part", **options)
        assert not (tmp_path / "parts/file.tar.gz.part").exists()
        assert target.read_bytes() == CONTENT
        return mirror

    def has_already(content=CONTENT[:2_000_000]):
        run.part.parent.mkdir()
        run.part.write_bytes(content)

    run.target, run.part = tmp_path / "downloads/file.tar.gz", tmp_path / "parts/file.tar.gz.part"
    run.has_already = has_already
    return run


def nobody():
    """An address that refuses connections."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/file.tar.gz"


def test_a_good_server_is_asked_once(fetch, server):
    fetch("good", "missing")
    assert server.requests == [("/good/file.tar.gz", None, len(CONTENT))]


def test_a_broken_connection_is_resumed_and_no_byte_comes_twice(fetch, server):
    fetch("drops", rounds=1)
    assert [asked for _, asked, _ in server.requests] == [
        None,
        "bytes=700000-",
        "bytes=1400000-",
        "bytes=2100000-",
    ]
    assert sum(sent for _, _, sent in server.requests) == len(CONTENT)


def test_a_later_call_goes_on_where_a_failed_one_stopped(fetch, server):
    fetch.has_already()
    fetch("good")
    assert server.requests == [("/good/file.tar.gz", "bytes=2000000-", 1_000_000)]


def test_a_failed_download_keeps_its_part_and_makes_no_target(fetch):
    with pytest.raises(TriptychError, match="HTTP 503"):
        fetch("dies")
    assert fetch.part.read_bytes() == CONTENT[:700_000]
    assert not fetch.target.exists()


def test_a_server_that_ignores_ranges_makes_it_start_over(fetch, server):
    fetch.has_already()
    fetch("no-range")
    assert server.requests == [("/no-range/file.tar.gz", "bytes=2000000-", len(CONTENT))]


@pytest.mark.parametrize("rubbish", [b"x" * 1000, b"x" * len(CONTENT), b"x" * (len(CONTENT) + 5)])
def test_a_part_of_something_else_is_discarded_and_the_file_fetched_again(fetch, server, rubbish):
    fetch.has_already(rubbish)
    fetch("good")
    assert server.requests[-1] == ("/good/file.tar.gz", None, len(CONTENT))


def test_a_complete_part_needs_no_server(fetch):
    fetch.has_already(CONTENT)
    fetch(nobody())


def test_the_next_mirror_is_asked_and_goes_on_from_there(fetch, server):
    assert fetch("missing", nobody(), "always-drops", "other", "good") == f"{server.url}/good/file.tar.gz"


def test_a_busy_server_is_asked_again(fetch, server):
    fetch("busy")
    assert len(server.requests) == 3


def test_a_mirror_with_another_file_is_named_and_nothing_of_it_stays(fetch, server):
    with pytest.raises(TriptychError, match=f"wrong sha256: expected {HASHES['sha256']}, got .*was deleted"):
        fetch("other")
    assert not fetch.target.exists() and not fetch.part.exists()
    assert len(server.requests) == 1  # asking again would bring the same


def test_a_wrong_md5_counts_as_well(fetch):
    with pytest.raises(TriptychError, match=f"wrong md5: expected {'0' * 32}, got {HASHES['md5']}"):
        fetch("good", hashes=HASHES | {"md5": "0" * 32})


def test_a_missing_file_is_not_asked_for_again(fetch, server):
    with pytest.raises(TriptychError, match=r"missing/file\.tar\.gz \(HTTP 404\)"):
        fetch("missing")
    assert len(server.requests) == 1


def test_a_stalled_connection_times_out_and_what_came_is_kept(fetch):
    with pytest.raises(TriptychError, match="timed out"):
        fetch("stalls", rounds=1, timeout=(2, 0.2))
    kept = fetch.part.read_bytes()
    assert len(kept) > 600_000 and CONTENT.startswith(kept)


def test_no_network_is_one_line_with_mirrors_and_alternatives(fetch):
    first, second = nobody(), "http://nowhere.invalid/file.tar.gz"
    with pytest.raises(TriptychError) as caught:
        fetch(first, second)
    message = str(caught.value)
    assert f"{first} (no connection)" in message and f"{second} (no connection)" in message
    assert "source: archive" in message and "\n" not in message
    assert not fetch.target.exists()


@pytest.mark.parametrize("way", ["dribbles", "dribbles-headers", "dribbles-chunks", "stalls"])
def test_a_mirror_that_sends_next_to_nothing_is_left_for_the_next(fetch, server, way):
    assert fetch(way, "good", timeout=(0.3, 0.3)) == f"{server.url}/good/file.tar.gz"


def test_a_mirror_that_dribbles_does_not_hold_a_download_for_ever(fetch):
    with pytest.raises(TriptychError, match="slower than 1000 bytes/s"):
        fetch("dribbles", rounds=1, timeout=(0.3, 0.3), least_speeds=[1000.0])


def test_a_slow_mirror_is_used_if_no_other_is_faster(fetch, server):
    # what the server sends is enough for the third round alone
    assert fetch("drops", least_speeds=[1e12, 1e12, 1.0], timeout=(1, 0.001), rounds=5)


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("endless", "sends more than the 3000000 bytes"),
        ("web-page", "sends a web page"),
        ("wrong", "wrong sha256"),
        ("short", "has another file, of 100000 bytes"),
        ("long", "has another file, of 3000001 bytes"),
        ("half", "ended after 1500000 bytes of 3000000"),
        ("circle", "redirects in a circle"),
        ("elsewhere", "not a valid address or answer"),
        ("no-http", "connection"),
    ],
)
def test_an_answer_that_is_not_the_file_is_named_and_spoils_no_other_mirror(fetch, server, way, reason):
    with pytest.raises(TriptychError, match=reason):
        fetch(way, size=len(CONTENT), rounds=1)
    assert not fetch.part.exists() or len(fetch.part.read_bytes()) < len(CONTENT)
    assert fetch(way, "good", size=len(CONTENT)) == f"{server.url}/good/file.tar.gz"


@pytest.mark.parametrize("way", ["endless", "web-page", "short", "long", "circle", "no-http"])
def test_progress_outlasts_such_an_answer(fetch, server, way):
    fetch.has_already()
    fetch(way, "good", size=len(CONTENT))
    assert server.requests[-1] == ("/good/file.tar.gz", "bytes=2000000-", 1_000_000)


@pytest.mark.parametrize(
    "ways", [("half-wrong", "good"), ("half-wrong", "drops"), ("good-part", "wrong", "good")]
)
def test_wrong_bytes_of_one_mirror_are_not_mixed_with_those_of_another_for_ever(fetch, ways):
    if ways[0] == "good-part":
        fetch.has_already()
    fetch(*[way for way in ways if way != "good-part"], size=len(CONTENT))


def test_a_server_without_ranges_that_breaks_off_costs_no_progress(fetch, server):
    fetch.has_already()
    with pytest.raises(TriptychError, match="ended after 1500000 bytes of 3000000"):
        fetch("half", size=len(CONTENT), rounds=1)
    assert fetch.part.read_bytes() == CONTENT[:2_000_000]


def test_passwords_and_tokens_of_addresses_stay_out_of_logs_and_errors(fetch, server, caplog, tmp_path):
    host = server.url.removeprefix("http://")
    caplog.set_level("DEBUG", "triptych")
    with pytest.raises(TriptychError) as caught:
        fetch(f"http://me:s3cret@{host}/missing/a.tar.gz?token=s3cret", f"http://me:s3cret@{host}:x/a.tar.gz")
    mirror = fetch(f"http://me:s3cret@{host}/drops/a.tar.gz?token=s3cret")
    assert mirror == f"http://...@{host}/drops/a.tar.gz?..."
    assert "s3cret" not in str(caught.value) + caplog.text
    assert f"http://...@{host}/missing/a.tar.gz?... (HTTP 404)" in str(caught.value)


def test_the_part_may_be_on_another_disk(fetch, tmp_path, server):
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as other:
        if os.stat(other).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("this machine has no second file system at /dev/shm")
        part = Path(other, "file.part")
        download(tmp_path / "file", mirrors=[f"{server.url}/good/file"], hashes=HASHES, part=part)
        assert (tmp_path / "file").read_bytes() == CONTENT and not part.exists()


def test_a_full_disk_passes_as_such(small_disk, server):
    file = small_disk / "file"
    with pytest.raises(OSError) as caught:
        download(file, mirrors=[f"{server.url}/good/file"], hashes=HASHES, part=small_disk / "file.part")
    assert caught.value.errno == errno.ENOSPC and not file.exists()
