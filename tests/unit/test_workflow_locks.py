"""Locks: one process at a time works on a job, and a killed Snakemake locks nobody out."""

import errno
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from triptych.workflow import locks
from triptych.workflow.errors import TriptychError
from triptych.workflow.locks import locked, release_stale_locks

HOLD = """
import sys, time
from pathlib import Path
from triptych.workflow.locks import locked
with locked(Path(sys.argv[1]), "the job"):
    print("held", flush=True)
    time.sleep(20)
"""
RUN = """
import time
from triptych.workflow.locks import release_stale_locks
release_stale_locks()
print("runs", flush=True)
time.sleep(20)
"""


def start(*command: str) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline()
    return process


def test_a_lock_is_waited_for_until_the_process_that_holds_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "triptych")
    path = tmp_path / "jobs/metrics.json.lock"
    with start(HOLD, str(path)) as other:
        monkeypatch.setattr(locks, "WAIT_SECONDS", 0.0)
        with pytest.raises(TriptychError, match=f"the job is in use by process {other.pid} on .*; end that"):
            locked(path, "the job").__enter__()
        monkeypatch.setattr(locks, "WAIT_SECONDS", 30.0)
        threading.Timer(0.2, other.kill).start()
        with locked(path, "the job"):
            assert path.exists()
    assert f"waiting for process {other.pid}" in caplog.text
    assert not path.exists()


def test_a_file_system_without_locks_is_named_and_work_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def without_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", without_locks)
    with locked(tmp_path / "lock", "the job"):
        assert "the job cannot be locked for this process: No locks available" in caplog.text


def test_locks_of_snakemake_are_removed_if_and_only_if_no_snakemake_of_the_folder_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    left = Path(".snakemake/locks/0.output.lock")
    left.parent.mkdir(parents=True)
    left.write_text("results/report/index.html\n")
    release_stale_locks()
    assert left.exists()  # it may be of a Snakemake that does not hold the other lock
    locks._running.pop().close()
    with start(RUN) as other:
        left.write_text("results/report/index.html\n")
        release_stale_locks()
        locks._running.pop().close()
        assert left.exists()
        other.kill()
    release_stale_locks()
    assert not left.exists()
    locks._running.pop().close()
