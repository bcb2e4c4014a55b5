"""A Slurm of one node on this machine, for tests: needs root and Debian's slurmctld, slurmd and slurm-client.

It writes slurm.conf and gres.conf into /etc/slurm, and removes them and stops the daemons at the end.
"""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

import pytest
from cluster_machine import end_daemon, free_ports

HERE = Path(__file__).resolve().parent
ETC = Path("/etc/slurm")
CONFIGURATION = ("slurm.conf", "gres.conf")
MARKER = "# triptych test cluster"
# Runs in every job and every step of it, with the environment that its processes get.
PROLOG = """#!/bin/sh
echo "$SLURM_JOB_ID ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/seen.txt
"""


class Slurm:
    """A running Slurm. `folder` has all that it writes."""

    job_variable = "SLURM_JOB_ID"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cancel(self, job: str) -> None:
        subprocess.run(["scancel", job], check=True)

    def requeue(self, job: str) -> None:
        subprocess.run(["scontrol", "requeue", job], check=False)  # 1: it is pending already

    def end_its_time(self, job: str) -> None:
        """Lower a running job's limit to Slurm's shortest: it ends at the next minute."""
        subprocess.run(["scontrol", "update", f"JobId={job}", "TimeLimit=1"], check=True)

    def ended_early(self) -> int:
        """How many jobs were ended early; a requeued one counts each time."""
        return sum(job["JobState"] != "COMPLETED" for job in self.records())

    def records(self) -> list[dict[str, str]]:
        """Slurm's records of the jobs that ended."""
        record = self.folder / "finished.txt"
        lines = record.read_text().splitlines() if record.exists() else []
        return [dict(re.findall(r"(\w+)=(\S*)", line)) for line in lines]

    def jobs(self, results: Path) -> list[dict[str, str]]:
        """The records of the jobs of a study, with the `rule` or group and its `wildcards`."""
        found = []
        logs = {log.stem: log.relative_to(results).parts[2:-1] for log in results.glob("logs/slurm/**/*.log")}
        for job in self.records():
            if job["JobId"] in logs:
                rule, *wildcards = logs[job["JobId"]]
                kind, _, name = rule.partition("_")
                name = name.split("_")[0] if kind == "group" else name  # then come the names of its rules
                found.append({**job, "rule": name, "wildcards": "".join(wildcards)})
        return found

    def devices(self) -> dict[str, set[str]]:
        """CUDA_VISIBLE_DEVICES in the processes of each job."""
        seen: dict[str, set[str]] = {}
        record = self.folder / "seen.txt"
        for line in record.read_text().splitlines() if record.exists() else []:
            job, devices = line.split()
            seen.setdefault(job, set()).add(devices)
        return seen


@contextmanager
def running_slurm(folder: Path) -> Iterator[Slurm]:
    """Start a Slurm that writes into `folder`, and stop it."""
    for name in CONFIGURATION:
        file = ETC / name
        if file.exists() and not file.read_text().startswith(MARKER):
            pytest.skip(f"{file} is not of this test: this machine has a Slurm already")
    _clean_up_after_a_crash()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    prolog = folder / "prolog.sh"
    prolog.write_text(PROLOG.format(folder=folder))
    prolog.chmod(0o755)
    controller_port, node_port = free_ports(2)
    ETC.mkdir(exist_ok=True)
    try:
        # slurm.conf must lie where Slurm looks by default: SLURM_CONF does not reach the jobs.
        (ETC / "slurm.conf").write_text(
            Template((HERE / "slurm.conf").read_text()).substitute(
                host=socket.gethostname().split(".")[0],
                folder=folder,
                controller_port=controller_port,
                node_port=node_port,
            )
        )
        shutil.copy(HERE / "gres.conf", ETC / "gres.conf")
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd"], check=True)
        _wait_for_node(folder)
        yield Slurm(folder)
    finally:
        _cancel_all()
        _stop(folder)


def _wait_for_node(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        query = ["sinfo", "--noheader", "--format=%T"]
        state = subprocess.run(query, capture_output=True, text=True, check=False).stdout
        if "idle" in state:
            return
        time.sleep(0.5)
    pytest.fail(f"the node did not come up ({state.strip()}); logs in {folder}")


def _cancel_all() -> None:
    """Cancel all jobs and wait until they have ended: their processes would outlive the daemons."""
    deadline = time.monotonic() + 40  # Slurm kills after 30 seconds
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(["scancel", "--user=root", "--quiet"], timeout=10, check=False)
        query = ["squeue", "--noheader"]
        while time.monotonic() < deadline and subprocess.check_output(query, timeout=10):
            time.sleep(0.5)


def _stop(folder: Path) -> None:
    for name in ("slurmd", "slurmctld"):
        end_daemon(folder / f"{name}.pid", name)
    for name in CONFIGURATION:
        (ETC / name).unlink(missing_ok=True)


def _clean_up_after_a_crash() -> None:
    """A test that was killed leaves its configuration, which names its folder."""
    configuration = ETC / "slurm.conf"
    if configuration.exists():
        found = re.search(r"^StateSaveLocation=(.*)/state$", configuration.read_text(), re.MULTILINE)
        _stop(Path(found[1]) if found else Path("/nonexistent"))
