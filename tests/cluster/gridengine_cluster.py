"""A Grid Engine of one node on this machine, for tests: needs Debian's gridengine-master, -exec and -client.

Everything that it writes is in one folder. It has ports of its own, so that it disturbs no other Grid Engine.
"""

import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from cluster_machine import end_daemon, free_ports

PROGRAMS = Path("/usr/lib/gridengine")
DEFAULTS = Path("/usr/share/gridengine")
ARCHITECTURE = "lx-amd64"

BOOTSTRAP = """admin_user none
default_domain none
ignore_fqdn true
spooling_method classic
spooling_lib libspoolc
spooling_params {common};{spool}/qmaster
binary_path {programs}
qmaster_spool_dir {spool}/qmaster
security_mode none
listener_threads 2
worker_threads 2
scheduler_threads 1
"""

# Slots are fakes, as many as a test needs. `notify`: seconds from SIGUSR2 to the SIGKILL of qdel.
QUEUE = {
    "qname": "all.q",
    "hostlist": "localhost",
    "slots": "8",
    "pe_list": "smp",
    "rerun": "TRUE",
    "notify": "00:00:30",
    "load_thresholds": "NONE",
    "complex_values": "gpu=1",
}
SCHEDULER = {"schedule_interval": "0:0:1", "flush_submit_sec": "1", "flush_finish_sec": "1"}


class GridEngine:
    """A running Grid Engine. `environment` has the variables that its commands need."""

    job_variable = "JOB_ID"

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder, self.environment = folder, environment

    def command(self, *words: str, check: bool = True) -> str:
        done = subprocess.run(
            words, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def cancel(self, job: str) -> None:
        self.command("qdel", job)

    def kill(self, job: str) -> None:
        """Kill all processes of a job, as the system does when memory is exhausted."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(self.job_variable) == job and process.name() != "sge_shepherd":
                    process.kill()

    def jobs(self) -> list[dict[str, str]]:
        """Grid Engine's records of the jobs that ended."""
        listing = self.command("qacct", "-j", "*", check=False)
        records = re.split(r"^=+$", listing, flags=re.MULTILINE)
        jobs = [dict(re.findall(r"^(\w+) +(.*?) *$", record, re.MULTILINE)) for record in records]
        return [job for job in jobs if "jobnumber" in job]

    def ended_early(self) -> int:
        return sum(job["exit_status"] != "0" or not job["failed"].startswith("0") for job in self.jobs())


@contextmanager
def running_gridengine(folder: Path) -> Iterator[GridEngine]:
    """Start a Grid Engine that writes into `folder`, and stop it."""
    master_port, node_port = free_ports(2)
    root, spool = folder / "root", folder / "spool"
    engine = GridEngine(
        folder,
        {
            "SGE_ROOT": str(root),
            "SGE_CELL": "default",
            "SGE_QMASTER_PORT": str(master_port),
            "SGE_EXECD_PORT": str(node_port),
            "PATH": f"{PROGRAMS}:{os.environ['PATH']}",
        },
    )
    try:
        _initialise(engine, root, spool)
        engine.command("sge_qmaster")
        _wait_until(
            lambda: engine.command("qconf", "-sh", check=False), f"sge_qmaster: {spool}/qmaster/messages"
        )
        engine.command("sge_execd")
        _configure(engine)
        available = "localhost .* [0-9.]+ +[0-9.]+G"
        _wait_until(
            lambda: re.search(available, engine.command("qhost", check=False)), f"sge_execd: {spool}/execd"
        )
        yield engine
    finally:
        with suppress(subprocess.TimeoutExpired):
            engine.command("qdel", "-f", "-u", "*", check=False)
        time.sleep(1)
        end_daemon(spool / "execd/localhost/execd.pid", "sge_execd")
        end_daemon(spool / "qmaster/qmaster.pid", "sge_qmaster")


def _initialise(engine: GridEngine, root: Path, spool: Path) -> None:
    """Write what the daemons read when they start."""
    common = root / "default/common"
    for path in (common, spool / "qmaster/job_scripts", spool / "execd"):
        path.mkdir(parents=True)
    for name in ("bin", "utilbin", "lib"):
        (root / name).mkdir()
        (root / name / ARCHITECTURE).symlink_to(PROGRAMS)
    (root / "util").symlink_to(DEFAULTS / "util")
    (common / "act_qmaster").write_text("localhost\n")
    (common / "host_aliases").write_text(f"localhost {socket.gethostname()}\n")
    (common / "bootstrap").write_text(BOOTSTRAP.format(common=common, spool=spool, programs=PROGRAMS))
    settings = (DEFAULTS / "default-configuration").read_text()
    changes = {"execd_spool_dir": spool / "execd", "mailer": "/bin/true", "min_uid": 0, "min_gid": 0}
    for name, value in changes.items():
        settings = re.sub(rf"^{name} .*", f"{name} {value}", settings, flags=re.MULTILINE)
    configuration = engine.folder / "configuration"
    configuration.write_text(settings)
    resources = DEFAULTS / "util/resources"
    engine.command("spoolinit", "classic", "libspoolc", f"{common};{spool}/qmaster", "init")
    engine.command("spooldefaults", "configuration", str(configuration))
    engine.command("spooldefaults", "complexes", str(resources / "centry"))
    engine.command("spooldefaults", "usersets", str(resources / "usersets"))
    engine.command("spooldefaults", "managers", "root")


def _configure(engine: GridEngine) -> None:
    """Add a parallel environment, a resource `gpu`, a queue, and a scheduler that looks every second."""

    def add(option: str, name: str, text: str) -> None:
        file = engine.folder / name
        file.write_text(text)
        engine.command("qconf", option, str(file))

    def changed(listing: str, values: dict[str, str]) -> str:
        for name, value in values.items():
            listing = re.sub(rf"^{name} .*", f"{name} {value}", listing, flags=re.MULTILINE)
        return listing

    add("-Ap", "environment", (DEFAULTS / "util/resources/pe/smp").read_text())
    add("-Mc", "resources", engine.command("qconf", "-sc") + "gpu gpu INT <= YES YES 0 0\n")
    add("-Aq", "queue", changed(engine.command("qconf", "-sq"), QUEUE))
    add("-Msconf", "scheduler", changed(engine.command("qconf", "-ssconf"), SCHEDULER))
    engine.command("qconf", "-as", "localhost")


def _wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come up")
        time.sleep(0.5)
