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
        (PermissionError(errno.EACCES, "Permission denied", "x.npy"), "x.npy: Permission denied; check the"),
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
        output.write_text("{}")
    assert "finished" in record.read_text()
    log_of_failure(fake, TriptychError("no"))
    assert not record.exists()


def test_what_a_killed_process_left_of_the_outputs_is_removed_before_the_job_begins(
    fake: Any, tmp_path: Path
) -> None:
    fake.output = ["results/scene/database.db", "results/scene/sfm", "results/scene/.hidden/film.mp4"]
    scene = tmp_path / "results/scene"
    (scene / ".hidden").mkdir(parents=True)
    (scene / ".sfm-x1y2z3_4").mkdir()
    (scene / ".sfm-x1y2z3_4/cameras.bin").touch()
    left = [".database-a1b2c3d4.db", ".database-a1b2c3d4.db-wal", ".database-a1b2c3d4.db-q1w2e3r4"]
    others = [
        "database.db-wal",
        ".database-a1.db",
        ".database-two-a1b2c3d4.db",
        ".sfm-notes",
        "film-a1b2c3d4.mp4",
    ]
    for name in left + others:
        (scene / name).touch()
    with job(fake):
        assert sorted(path.name for path in scene.iterdir()) == sorted([*others, ".hidden"])


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


def test_a_job_that_ends_without_a_message_gets_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = """
import os, signal, sys
from types import SimpleNamespace
from triptych.workflow.job import job
fake = SimpleNamespace(
    log=[sys.argv[1]], rule="train", threads=1, output=["x"], params={}, resources={}, config={}
)
end = sys.argv[2]
with job(fake):
    if end.startswith("SIG"):
        os.kill(os.getpid(), signal.Signals[end])
    sys.exit(3 if end == "stopped" else 0)
"""

    def line(end: str, *, oom_kills: int = 0, free: int = 2**40, since: float = 0.0) -> list[str]:
        monkeypatch.setattr(workflow_failures, "oom_kills", lambda: oom_kills)
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        return list(workflow_failures.failures({tmp_path / f"logs/{end}.log": "train"}, since=since))

    for end in ("SIGKILL", "SIGABRT", "stopped", "done"):
        subprocess.run([sys.executable, "-c", script, str(tmp_path / f"logs/{end}.log"), end], cwd=tmp_path)
    memory = f"memory was exhausted; it had {memory_limit() / 1e9:.1f} GB"
    assert f"the job was killed from outside, most likely as {memory}" in line("SIGKILL")[0]
    assert f"the job was killed by the system, as {memory}" in line("SIGKILL", oom_kills=1)[0]
    assert "SIGKILL.log" in line("SIGKILL")[0]
    assert "train crashed in a compiled library (Aborted); run again" in line("SIGABRT")[0]
    assert f"train ended, as the disk of {tmp_path}/logs is full" in line("SIGABRT", free=1000)[0]
    assert line("stopped") == line("done") == []
    never = "train ended while it loaded its libraries; the lines above say why"
    assert never in line("none")[0] and never in line("SIGKILL", since=time.time() + 9)[0]


def test_warnings_of_the_log_are_in_the_provenance_but_not_those_of_the_moment(fake: Any) -> None:
    with job(fake) as running:
        record = running.provenance(recipe={})
        logging.getLogger("triptych").warning("3 of 40 images cannot be read")
        logging.getLogger("triptych").warning("nothing learnt yet", extra={"passing": True})
    assert record["warnings"] == ["3 of 40 images cannot be read"]
