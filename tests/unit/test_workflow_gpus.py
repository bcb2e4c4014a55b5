"""Jobs of one machine take different GPUs; locks are undone when their process ends, however it ends."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from triptych.workflow.gpus import claim_gpus

HOLD = """
import os, sys
from pathlib import Path
from triptych.workflow.gpus import claim_gpus
claim_gpus(int(sys.argv[1]), int(sys.argv[2]), folder=Path(sys.argv[3]), every=0.02)
print(os.environ.get("CUDA_VISIBLE_DEVICES", "all"), flush=True)
sys.stdin.read()
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a process that claims some of so many GPUs, says which, and keeps them until it is ended."""
    running: list[subprocess.Popen[str]] = []

    def begin(wanted: int, count: int, **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", HOLD, str(wanted), str(count), str(tmp_path / "locks")]
        plain = {k: v for k, v in os.environ.items() if k not in ("CUDA_VISIBLE_DEVICES", "SLURM_JOB_ID")}
        pipe = subprocess.PIPE
        running.append(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env={**plain, **environment})
        )
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def taken(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def waits(process: "subprocess.Popen[str]") -> bool:
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        import select

        return not select.select([process.stdout], [], [], 0)[0]
    return False


def test_each_job_takes_another_gpu_and_the_next_one_waits_for_a_killed_one(start: Start) -> None:
    first, second = start(1, 2), start(1, 2)
    assert {taken(first), taken(second)} == {"0", "1"}
    third = start(1, 2)
    assert waits(third)
    second.kill()
    assert taken(third) in "01"


def test_a_job_for_several_takes_all_at_once_or_none(start: Start) -> None:
    first = start(1, 3)
    assert taken(first) == "0"
    greedy = start(3, 3)
    assert waits(greedy)
    assert taken(start(2, 3)) == "1,2"  # the one that waits holds nothing


def test_only_gpus_that_can_be_seen_are_taken(start: Start) -> None:
    seen = {"CUDA_VISIBLE_DEVICES": "5, GPU-abc"}
    assert [taken(start(1, 2, **seen)), taken(start(1, 2, **seen))] == ["5", "GPU-abc"]


def test_slurm_jobs_have_numbers_of_their_own(start: Start) -> None:
    for number in ("7", "8"):
        assert taken(start(1, 2, CUDA_VISIBLE_DEVICES="0,1", SLURM_JOB_ID=number)) == "0"


@pytest.mark.parametrize(("wanted", "count"), [(1, 0), (1, 1), (3, 2)])
def test_where_there_is_nothing_to_choose_nothing_is_locked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int, count: int
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    claim_gpus(wanted, count, folder=tmp_path / "locks")
    assert "CUDA_VISIBLE_DEVICES" not in os.environ and not (tmp_path / "locks").exists()


def test_a_scheduler_that_gave_one_gpu_has_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for given in ("3", "", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", given)
        claim_gpus(1, 1, folder=tmp_path / "locks")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == given and not (tmp_path / "locks").exists()


def test_locks_are_every_users(start: Start, tmp_path: Path) -> None:
    assert taken(start(1, 2)) == "0"
    (lock,) = (tmp_path / "locks").iterdir()
    assert (tmp_path / "locks").stat().st_mode & 0o777 == 0o777 and lock.stat().st_mode & 0o777 == 0o666
