"""Downloads from a real HTTP server that misbehaves on demand."""

import errno
import http.server
import os
import socket
import tempfile
import threading
from pathlib import Path

import pytest
from odd_server import CONTENT, HASHES, Handler

from triptych.data.download import download
from triptych.workflow.errors import TriptychError


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


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("other", f"wrong sha256: expected {HASHES['sha256']}, got .*was deleted"),
        ("missing", r"missing/file\.tar\.gz \(HTTP 404\)"),
    ],
)
def test_a_mirror_without_the_file_is_asked_once_and_nothing_of_it_stays(fetch, server, way, reason):
    with pytest.raises(TriptychError, match=reason):
        fetch(way)
    assert not fetch.target.exists() and not fetch.part.exists()
    assert len(server.requests) == 1


def test_a_wrong_md5_counts_as_well(fetch):
    with pytest.raises(TriptychError, match=f"wrong md5: expected {'0' * 32}, got {HASHES['md5']}"):
        fetch("good", hashes=HASHES | {"md5": "0" * 32})


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
