"""Trainings that a scheduler disturbs: a column of the grid for each kind of disturbance."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import psutil
from cluster_study import ClusterStudy, copy_project

# An augmentation that changes nothing. While a test keeps the file `disturb`, it makes trainings slow without
# work for the machine, and after some steps fills more memory than a cell's first attempt has.
MODULE = '''"""Slow, and with much memory, while the file `disturb` is there."""

import time
from pathlib import Path

seen = []


def augment(images, targets, *, generator, megabytes=0):
    if Path("disturb").exists():
        time.sleep(0.5 if len(seen) < 20 else 5)
        seen.append(bytearray(b"x") * (megabytes << 20) if len(seen) == 20 else None)
    return images, targets
'''
MEGABYTES = 4000


class Scheduler(Protocol):
    """A running cluster."""

    job_variable: str  # the environment variable with the number of a job

    def ended_early(self) -> int:
        """Number of jobs that were ended early."""


def prepare_study(project: Path, names: tuple[str, ...]) -> ClusterStudy:
    """A study of one architecture with a column for each of these disturbances, on cores alone.

    Column `undisturbed`, with the same arithmetic, has been trained without a scheduler.
    """
    columns = ("undisturbed", *names)
    recipe = {"epochs": 30, "batch_size": 64, "warmup_epochs": 1}
    options = {"out_of_memory": {"megabytes": MEGABYTES}}
    preset = {
        "parts": ["grid"],
        "compute": {"checkpoint_minutes": 0.05, "gpus": 0, "kernels": "off"},
        "architectures": {"vit": {"recipes": {"modern": recipe}}},
        "augmentations": {
            name: {"module": "disturbed", "options": options.get(name, {})} for name in columns
        },
        "grid": {"architectures": ["vit"], "augmentations": list(columns), "seeds": [0]},
    }
    copy_project(project, preset)
    (project / "src/disturbed.py").write_text(MODULE)
    study = ClusterStudy(project)
    study.run(target("undisturbed"), "--cores", "1")
    return study


def cell(name: str) -> str:
    """The folder of a training's results."""
    return f"grid/vit-{name}/seed0"


def target(name: str) -> str:
    return f"results/{cell(name)}/metrics.json"


def run_disturbed(
    study: ClusterStudy,
    names: tuple[str, ...],
    scheduler: Scheduler,
    disturb: Mapping[str, Callable[[str], None]],
    *options: str,
) -> None:
    """Train the columns of these names while the scheduler disturbs each one once.

    Args:
        disturb: what to do to the job of a column, by its number, once the training has a checkpoint. Columns
            that are not named are disturbed by the limits of their jobs.
    """
    mark = study.folder / "disturb"
    mark.touch()
    before = scheduler.ended_early()
    left = dict(disturb)
    deadline = time.monotonic() + 1800
    with study.running(*map(target, names), *options) as process:
        while process.poll() is None:
            for name in list(left):
                if list((study.results / "checkpoints" / cell(name)).glob("step-*.pt")):
                    left.pop(name)(number_of_job(name, scheduler.job_variable))
            if not left and scheduler.ended_early() - before >= len(names):
                mark.unlink(missing_ok=True)
            assert time.monotonic() < deadline, study.log.read_text()[-6000:]
            time.sleep(0.5)
    assert process.returncode == 0 and not mark.exists(), study.log.read_text()[-6000:]


def check_resumed(study: ClusterStudy, name: str) -> None:
    """A training has resumed in the next attempt and ended with the same bits as an undisturbed one."""
    assert "resuming from" in study.job_log(cell(name))
    assert study.bits(cell(name)) == study.bits(cell("undisturbed"))


def number_of_job(name: str, variable: str) -> str:
    """The scheduler's number of the running job that trains a column, from the job's own environment."""
    for process in psutil.process_iter():
        try:
            command = " ".join(process.cmdline())
            if "--target-jobs" in command and f"augmentation={name}," in command:
                return process.environ()[variable]
        except (psutil.Error, KeyError):
            continue
    raise AssertionError(f"no job of {name} is running")
