"""How a job ends: a clear line for what the user can solve, a traceback for a defect, a record of files."""

import errno
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from triptych.kernels import registry
from triptych.workflow import failures as workflow_failures
from triptych.workflow import plugins
from triptych.workflow.errors import TriptychError
from triptych.workflow.job import job
from triptych.workflow.machine_memory import memory_limit


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """What a workflow script is given, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    log = logging.getLogger("triptych")
    before = (log.handlers, log.level, log.propagate)
    yield SimpleNamespace(
        log=[str(tmp_path / "logs/job.log")],
        rule="train_cell",
        threads=1,
        output=["results/metrics.json"],
        params={"recipe": {"device": "auto"}, "code": "0123456789abcdef01"},
        resources={"gpu": 1},
        config={"compute": {"kernels": "auto"}},
    )
    log.handlers, log.level, log.propagate = before


def log_of_failure(fake: Any, error: Exception) -> str:
    with pytest.raises(SystemExit) as caught, job(fake):
        raise error
    assert caught.value.code == 1
    first, rest = Path(fake.log[0]).read_text().split("\n", 1)
    assert "kernels: " in first
    return rest


def test_a_problem_of_the_user_is_one_line(fake: Any) -> None:
    text = log_of_failure(fake, TriptychError("scene 'fox': no frames; check path"))
    assert text.count(" ERROR ") == 1 and "error: scene 'fox': no frames; check path" in text


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
    text = log_of_failure(fake, error)
    assert text.splitlines()[-1].count(" ERROR ") == 1 and expected in text


@pytest.mark.parametrize("error", [ValueError("defect"), PermissionError(errno.EACCES, "Permission denied")])
def test_a_defect_keeps_its_traceback(fake: Any, error: Exception) -> None:
    assert "Traceback" in log_of_failure(fake, error)


def test_provenance_names_recipe_seed_code_versions_and_hardware(fake: Any) -> None:
    with job(fake) as running:
        record = running.provenance(recipe={"epochs": 3}, seed=4, device="cpu")
    assert record["code"] == "0123456789abcdef"
    assert record["recipe"] == {"epochs": 3} and record["seed"] == 4 and record["device"] == "cpu"
    assert record["wall_seconds"] >= 0 and record["hardware"]["cores"] >= 1
    assert record["hardware"]["threads"] >= 1 and "gpu" not in record["hardware"]
    assert {"python", "torch", "snakemake", "triptych"} <= record["versions"].keys()
    assert record["kernels"] in ("off", *registry.TIERS)


def test_a_job_uses_the_kernels_that_the_config_chooses(fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_tier", None)
    monkeypatch.setenv(registry.SETTING, "auto")  # restored afterwards
    fake.config["compute"]["kernels"] = False  # YAML's off
    with job(fake) as running:
        record = running.provenance(recipe={}, device="cpu")
        assert running.provenance(recipe={}, device="cuda")["kernels"] is None
    assert record["kernels"] == "off"
    assert "kernels: off (as configured)" in Path(fake.log[0]).read_text()


def test_files_are_recorded_if_and_only_if_the_job_succeeds(fake: Any) -> None:
    output, record = Path("results/metrics.json"), Path("results/records/jobs/metrics.json.json")
    with job(fake):
        output.parent.mkdir()
        output.write_text("{}")
    assert "finished" in record.read_text()
    log_of_failure(fake, TriptychError("no"))
    assert not record.exists()


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


def test_an_exception_in_a_users_module_names_it_and_its_line(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "SOURCE", tmp_path)
    (tmp_path / "my_net.py").write_text("def forward(x):\n    return x.nothing\n")
    monkeypatch.syspath_prepend(tmp_path)
    import my_net

    with pytest.raises(SystemExit), job(fake):
        my_net.forward(1)
    text = Path(fake.log[0]).read_text()
    assert "your module 'my_net' fails: AttributeError: 'int' object has no attribute 'nothing'" in text
    assert "(my_net.py, line 2)" in text
    assert "Traceback" not in text


def test_a_job_that_was_killed_gets_a_line_with_the_memory_that_it_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import os, signal, sys
from types import SimpleNamespace
from triptych.workflow.job import job
fake = SimpleNamespace(
    log=[sys.argv[1]], rule="train", threads=1, output=["x"], params={}, resources={}, config={}
)
with job(fake):
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    sys.exit(3 if sys.argv[2] == "stopped" else 0)
"""
    for end in ("killed", "stopped", "done"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / f"logs/{end}.log"), end], cwd=tmp_path)
    for kills, why in ((0, "from outside, most likely as"), (1, "by the system, as")):
        monkeypatch.setattr(workflow_failures, "oom_kills", lambda kills=kills: kills)
        (found,) = workflow_failures.failures(tmp_path / "logs", since=0)
        assert f"the job was killed {why} memory was exhausted" in found and "killed.log" in found
        assert f"it had {memory_limit() / 1e9:.1f} GB" in found
    assert list(workflow_failures.failures(tmp_path / "logs", since=time.time() + 9)) == []
