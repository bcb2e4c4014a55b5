"""Checkpoints as files: damaged ones, unreadable ones, full disks, and which are kept."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from full_disk import full_disk

from triptych.training.checkpoint import Checkpoints


@pytest.mark.parametrize("first_step", [3, 4])
def test_a_checkpoint_of_another_recipe_is_not_resumed_and_stays_until_the_new_run_has_its_first(
    tmp_path: Path, first_step: int
) -> None:
    old = Checkpoints(tmp_path, "old recipe")
    old.save(3, {"weights": torch.ones(2)})
    new = Checkpoints(tmp_path, "new recipe")
    assert new.load() is None
    assert Checkpoints(tmp_path, "old recipe").load() is not None
    new.save(first_step, {"weights": torch.zeros(2)})
    assert [path.name for path in tmp_path.glob("*.pt")] == [f"step-{first_step:09d}.pt"]
    assert Checkpoints(tmp_path, "old recipe").load() is None
    assert Checkpoints(tmp_path, "new recipe").load() is not None


def torn(content: bytes, share: float) -> bytes:
    return content[: int(share * len(content))]


def empty_behind(content: bytes, share: float) -> bytes:
    return torn(content, share).ljust(len(content), b"\0")


def one_bit_off(content: bytes, share: float) -> bytes:
    place = int(share * len(content))
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", [torn, empty_behind, one_bit_off])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_counts_no_more(
    tmp_path: Path, damage: Callable[[bytes, float], bytes], share: float
) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    for step in (1, 2):
        checkpoints.save(step, {"step": step, "weights": torch.full((1000,), float(step))})
    (tmp_path / "step-000000002.pt").write_bytes(damage((tmp_path / "step-000000002.pt").read_bytes(), share))
    state = checkpoints.load()
    assert state is not None and state["step"] == 1
    assert checkpoints.newest() == tmp_path / "step-000000001.pt"


def test_checkpoints_that_cannot_be_read_now_do_not_push_out_those_that_are_saved_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    for step in (19, 20):
        checkpoints.save(step, {"step": step})

    def fail(path: Path) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as disk:
        disk.setattr(Path, "read_bytes", fail)
        assert checkpoints.load() is None
    checkpoints.save(5, {"step": 5})
    assert checkpoints.newest() == tmp_path / "step-000000005.pt"
    assert Checkpoints(tmp_path, "run").load() == {"step": 5}


def test_a_run_that_resumes_in_another_format_or_place_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before, after = "bfloat16 on 4 threads", "float32 on 2 threads"
    Checkpoints(tmp_path, "run", conditions=before).save(1, {"step": 1})
    assert Checkpoints(tmp_path, "run", conditions=before).load() == {"step": 1}
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert Checkpoints(tmp_path, "run", conditions=after).load() == {"step": 1}
    assert f"ran in {before} and resumes in {after}" in caplog.text


def test_a_torn_checkpoint_counts_no_more(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    checkpoints.save(10, {"step": 10})
    checkpoints.save(20, {"step": 20})
    (tmp_path / "run/step-000000020.pt").write_bytes(b"torn")
    checkpoints.load()
    checkpoints.save(15, {"step": 15})
    newest = checkpoints.newest()
    assert newest is not None and newest.name == "step-000000015.pt"
    assert [path.name for path in sorted((tmp_path / "run").glob("*.pt"))] == [
        "step-000000010.pt",
        "step-000000015.pt",
    ]


def test_a_full_disk_is_known_as_one_where_a_checkpoint_is_saved(tmp_path: Path) -> None:
    for state in ({"weights": torch.ones(100_000)}, {"weights": [torch.ones(10) for _ in range(99)]}):
        with pytest.raises(OSError) as caught, full_disk():
            Checkpoints(tmp_path, "run").save(1, state)
        assert caught.value.errno == errno.EFBIG
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_that_is_saved_after_the_clock_was_set_back_is_the_newest(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "run")
    for step in (1, 2):
        checkpoints.save(step, {"step": step})
        future = time.time_ns() + step * 10**18
        os.utime(tmp_path / f"step-{step:09d}.pt", ns=(future, future))
    resumed = Checkpoints(tmp_path, "run")
    assert resumed.load() == {"step": 2}
    for step in (3, 4):
        resumed.save(step, {"step": step})
        assert Checkpoints(tmp_path, "run").load() == {"step": step}
    assert len(list(tmp_path.iterdir())) == 2


def test_only_two_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "run", "run")
    for step in range(5):
        checkpoints.save(step, {"step": step})
    assert len(list((tmp_path / "run").iterdir())) == 2
