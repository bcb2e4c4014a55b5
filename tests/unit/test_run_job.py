"""A job's last words: one clear line for what the user can solve, a traceback for our defects."""

import errno
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from triptych.workflow.errors import TriptychError
from triptych.workflow.job import job


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[Any]:
    log = logging.getLogger("triptych")
    before = (log.handlers, log.level, log.propagate)
    code = tmp_path / "code.py"
    code.write_text("1")
    inputs = {"code": [str(code)]}
    yield SimpleNamespace(
        log=[str(tmp_path / "logs/job.log")],
        rule="train_cell",
        threads=1,
        input=inputs,
        params={"recipe": {"device": "auto"}},
        resources={"gpu": 1},
    )
    log.handlers, log.level, log.propagate = before


def last_words(fake: Any, error: Exception) -> str:
    with pytest.raises(SystemExit) as caught, job(fake):
        raise error
    assert caught.value.code == 1
    return Path(fake.log[0]).read_text()


def test_a_problem_of_the_user_is_one_line(fake: Any) -> None:
    text = last_words(fake, TriptychError("scene 'fox': no frames; check path"))
    assert text.count("\n") == 1 and "error: scene 'fox': no frames; check path" in text


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "x.npy"),
            "disk full while writing the outputs of train_cell",
        ),
        (MemoryError(), "out of memory in train_cell; use a smaller batch_size"),
        (
            RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
            "out of memory in train_cell",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory"),
            "out of memory in train_cell; use a smaller batch_size",
        ),
    ],
)
def test_full_disk_and_memory_are_one_line(fake: Any, error: Exception, expected: str) -> None:
    text = last_words(fake, error)
    assert text.count("\n") == 1 and expected in text


@pytest.mark.parametrize("error", [ValueError("defect"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_defect_keeps_its_traceback(fake: Any, error: Exception) -> None:
    assert "Traceback" in last_words(fake, error)


def test_results_know_where_they_come_from(fake: Any) -> None:
    with job(fake) as running:
        record = running.provenance(recipe={"epochs": 3}, seed=4, device="cpu")
    assert record["recipe"] == {"epochs": 3} and record["seed"] == 4 and record["device"] == "cpu"
    assert record["wall_seconds"] >= 0 and record["hardware"]["cores"] >= 1
    assert record["hardware"]["threads"] >= 1 and "gpu" not in record["hardware"]
    assert {"python", "torch", "snakemake", "triptych"} <= record["versions"].keys()


@pytest.mark.parametrize(
    ("device", "expected"), [("auto", [(2, 4)]), ("cuda", [(2, 4)]), ("cuda:1", []), ("cpu", []), (None, [])]
)
def test_a_job_that_leaves_the_gpu_open_claims_as_many_as_its_recipe_says(
    fake: Any, monkeypatch: pytest.MonkeyPatch, device: str | None, expected: list[tuple[int, int]]
) -> None:
    claims: list[tuple[int, int]] = []
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.setattr(
        "triptych.workflow.job.claim_gpus", lambda wanted, count: claims.append((wanted, count))
    )
    # Snakemake caps the resource at what the profile has, and the recipe means two all the same.
    fake.resources, fake.params = {"gpu": 1}, {"recipe": {"device": device, "gpus": 2}} if device else {}
    with job(fake):
        assert claims == expected


@pytest.mark.parametrize(("device", "visible"), [("auto", ""), ("cuda", "2,3")])
def test_a_job_of_a_study_without_gpus_sees_none_unless_its_recipe_asks_for_one(
    fake: Any, monkeypatch: pytest.MonkeyPatch, device: str, visible: str
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    fake.resources, fake.params = {"gpu": 0}, {"recipe": {"device": device, "gpus": 1}}
    with job(fake):
        assert os.environ["CUDA_VISIBLE_DEVICES"] == visible
