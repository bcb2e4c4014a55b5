"""What a user sees while a study runs: a small Snakefile with jobs like the project's."""

import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SNAKEMAKE

SNAKEFILE = r"""
import sys
from snakemake_logger_plugin_triptych import stop_at_signals, when_nothing_is_to_be_done

when_nothing_is_to_be_done(lambda: print("the report is there", file=sys.stderr))

rule all:
    input:
        "few.txt", "slow.txt",

rule few:
    output:
        "few.txt",
    log:
        "logs/few.log",
    message:
        "Counting a few images"
    shell:
        "echo '10:00:00 WARNING 3 of 40 images cannot be read' > {log}; touch {output}"

rule slow:
    output:
        "slow.txt",
    log:
        "logs/slow.log",
    message:
        "Training, seed 0"
    shell:
        "echo '10:00:00 INFO grid: 133/300 (44 %), 2 step/s, ETA 0:01:23 loss=2' > {log}; sleep 2; "
        "touch {output}"

rule broken:
    output:
        "broken.txt",
    log:
        "logs/broken.log",
    message:
        "Training, seed 1"
    shell:
        "echo '10:00:00 ERROR error: the images are gone' > {log}; exit 1"

rule silent:
    output:
        "silent.txt",
    log:
        "logs/silent.log",
    message:
        "Training, seed 2"
    shell:
        "exit 1"

rule loading:
    output:
        "loading.txt",
    log:
        "logs/loading.log",
    message:
        "Training “a” × b"
    shell:
        "python -c 'import time; open(\"started\", \"w\"); time.sleep(60)'"

rule training:
    output:
        "training.txt",
    log:
        "logs/training.log",
    message:
        "Training, seed 3"
    shell:
        "python train.py {log}; touch {output}"

onstart:
    stop_at_signals()
"""
TRAINING = """
import signal, sys, time

def save(*_):
    time.sleep(1)
    print("10:00:01 INFO stopped", file=log, flush=True)
    sys.exit(143)

log = open(sys.argv[1], "w")
for number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, save)
open("started", "w")
time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "train.py").write_text(TRAINING)
    return tmp_path


def command(*arguments: str) -> list[str]:
    return [str(SNAKEMAKE), *arguments, "--cores", "1", "--logger", "triptych"]


def lines(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run(command(*arguments), cwd=folder, capture_output=True, text=True)
    return [re.sub(r"\(\d:\d\d:\d\d\)", "(time)", line) for line in done.stderr.splitlines()]


def test_a_finished_job_is_one_line_and_its_warnings_stand_above_it(folder: Path) -> None:
    assert sorted(lines(folder, "few.txt")) == [
        "Counting a few images: 3 of 40 images cannot be read",
        "[1/1] Counting a few images (time)",
    ]
    *_, nothing, address = lines(folder, "few.txt")
    assert nothing.startswith("Nothing to be done") and address == "the report is there"


def test_a_quiet_run_shows_nothing_of_its_jobs(folder: Path) -> None:
    assert lines(folder, "few.txt", "--quiet") == []


def test_a_failed_job_is_named_with_its_error_and_the_path_of_its_log(folder: Path) -> None:
    log = folder / "logs/broken.log"
    assert lines(folder, "broken.txt") == [
        f"failed: Training, seed 1: error: the images are gone (log: {log})"
    ]


@pytest.mark.parametrize("way", [(), ("-n",), ("--quiet",)])
def test_a_target_that_the_study_does_not_have_is_one_line(folder: Path, way: tuple[str, ...]) -> None:
    done = subprocess.run(command("fwe.txt", *way), cwd=folder, capture_output=True, text=True)
    assert done.returncode != 0
    assert (done.stdout + done.stderr).splitlines()[-1] == (
        "triptych: error: fwe.txt is no result of this study: look for a mistake in its name, "
        "or for a config file that is missing from the command"
    )


def test_a_folder_that_another_snakemake_uses_is_one_line(folder: Path) -> None:
    locks = folder / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("few.txt\n")
    assert lines(folder, "few.txt") == [
        f"triptych: error: {folder}: another Snakemake makes the same results here; wait until it ends, "
        "or, if none is running, run the same command with --unlock and then again without it"
    ]


def test_the_log_of_an_earlier_run_is_not_shown(folder: Path) -> None:
    log = folder / "logs/silent.log"
    log.parent.mkdir()
    log.write_text("10:00:00 WARNING old\n10:00:00 ERROR error: old\n")
    os.utime(log, (0, 0))
    assert lines(folder, "silent.txt") == [f"failed: Training, seed 2: it left no error (log: {log})"]


def test_a_dry_run_looks_as_snakemakes_own(folder: Path) -> None:
    done = subprocess.run(command("-n", "few.txt"), cwd=folder, capture_output=True, text=True)
    assert "Job 0: Counting a few images\nReason: Missing output files: few.txt" in done.stdout


def test_ctrl_c_twice_shows_no_traceback_although_a_job_still_loads_its_libraries(folder: Path) -> None:
    """A process group gets the signal, as from a terminal, here one without Unicode."""
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    process = subprocess.Popen(
        command("loading.txt"),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=environment,
    )
    while not (folder / "started").exists():
        time.sleep(0.1)
    for _ in range(2):
        os.killpg(process.pid, signal.SIGINT)
        time.sleep(0.3)
    _, shown = process.communicate(timeout=60)
    assert process.returncode != 0
    assert shown.splitlines() == [
        "Stopping. Trainings save their state first; Ctrl-C again stops them at once.",
        'stopped: Training "a" x b',
        "Stopped. Run the same command again to continue.",
    ]


@pytest.mark.parametrize(("send", "number"), [(os.kill, signal.SIGTERM), (os.killpg, signal.SIGHUP)])
def test_a_signal_to_snakemake_or_to_all_stops_the_jobs_and_is_no_failure(
    folder: Path, send: Callable[[int, int], None], number: int
) -> None:
    process = subprocess.Popen(
        command("training.txt"), cwd=folder, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while not (folder / "started").exists():
        time.sleep(0.1)
    send(process.pid, number)
    _, shown = process.communicate(timeout=60)
    assert process.returncode != 0
    assert (folder / "logs/training.log").read_text().endswith("INFO stopped\n")
    assert shown.splitlines() == [
        "Stopping. Trainings save their state first.",
        "stopped: Training, seed 3",
        "Stopped. Run the same command again to continue.",
    ]


def test_on_a_terminal_of_40_columns_a_bar_shows_jobs_and_the_steps_of_the_running_one(folder: Path) -> None:
    user, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "40", "TERM": "xterm"}
    process = subprocess.Popen(command(), cwd=folder, stdout=terminal, stderr=terminal, env=environment)
    os.close(terminal)
    screen = b""
    try:
        while piece := os.read(user, 65536):
            screen += piece
    except OSError:  # the terminal is closed
        pass
    assert process.wait() == 0
    shown = re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", screen.decode())
    assert "/2 jobs, ETA" in shown and "Training, seed 0  step 133/300, ETA " in shown
    bars = [line for line in re.split(r"[\r\n]+", shown) if "━" in line]
    assert max(map(len, bars)) <= 40
