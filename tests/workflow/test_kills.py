"""A killed Snakemake leaves no job behind, its trainings resume, and no `--unlock` is needed."""

import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from conftest import SNAKEMAKE, Study, copy_project

CELL = "results/grid/resnet18-baseline/seed0/metrics.json"


@pytest.mark.slow
def test_jobs_end_with_a_killed_snakemake_and_the_next_run_resumes_their_trainings(tmp_path: Path) -> None:
    copy_project(tmp_path)
    study = Study(tmp_path)
    recipe = {"epochs": 40, "batch_size": 64, "learning_rate": 0.05, "warmup_epochs": 1}
    study.configure(
        compute={"checkpoint_minutes": 0.001}, architectures={"resnet18": {"recipes": {"modern": recipe}}}
    )
    command = [str(SNAKEMAKE), CELL, "--cores", "1", "--configfile", str(study.preset)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    snakemake = subprocess.Popen(command, cwd=study.folder, env=environment, stderr=subprocess.DEVNULL)
    checkpoints = study.folder / "results/checkpoints/grid/resnet18-baseline/seed0"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step-*.pt")):
        assert time.monotonic() < deadline and snakemake.poll() is None
        time.sleep(0.1)
    jobs = psutil.Process(snakemake.pid).children(recursive=True)
    snakemake.send_signal(signal.SIGKILL)
    snakemake.wait()
    gone, alive = psutil.wait_procs(jobs, timeout=60)
    assert len(gone) >= 1 and not alive
    assert list(checkpoints.glob("step-*.pt"))
    study.run("--", CELL)
    assert "resuming from" in (study.folder / "results/logs/grid/resnet18-baseline/seed0.log").read_text()
    assert not checkpoints.exists()  # the outputs are accepted
