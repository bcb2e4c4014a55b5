"""Run the test preset through a real Slurm on this machine, then take that Slurm away again.

    sudo .venv/bin/python tests/cluster/run_slurm.py

Needs root on Debian or Ubuntu. Installs the packages slurmctld, slurmd and slurm-client where they
are missing (they stay), writes slurm.conf and gres.conf into /etc/slurm, starts both daemons with
one node that claims a GPU, and runs the workflow in a copy of this working tree. At the end, however
it ends, the daemons are stopped and the files removed. It touches no Slurm that is not its own.
Takes about 5 minutes on 2 cores. Prints PASS and exits with 0, or FAIL with what was not as it should be.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from string import Template

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
ETC = Path("/etc/slurm")
MARKER = "# triptych test cluster"
PACKAGES = ["slurmctld", "slurmd", "slurm-client"]
GPU_RULES = {
    "pretrain_simclr",
    "initialise_encoder",
    "encode_images",
    "fine_tune_encoder",
    "train_supervised",
    "train_cell",
    "train_radiance",
    "render_views",
    "render_flythrough",
    "export_scene",
}
# Runs as part of every job and every step of it, with the environment the processes get.
PROLOG = """#!/bin/sh
echo "$SLURM_JOB_ID $SLURM_JOB_PARTITION ${{CUDA_VISIBLE_DEVICES:-none}}" >> {folder}/seen.txt
"""


def refuse(why: str) -> None:
    sys.exit(f"FAIL: {why}")


def check_machine() -> None:
    """Stop before touching anything on a machine where this must not run."""
    if os.geteuid() != 0:
        refuse("needs root, to install Slurm and to start its daemons")
    for name in ("slurm.conf", "gres.conf"):
        file = ETC / name
        if file.exists() and not file.read_text().startswith(MARKER):
            refuse(f"{file} is not this script's: there is a Slurm on this machine already")


def install() -> None:
    if all(shutil.which(command) for command in ("slurmctld", "slurmd", "sbatch")):
        return
    if not shutil.which("apt-get"):
        refuse(f"needs Slurm ({', '.join(PACKAGES)}) and knows only apt-get to install it")
    print(f"Installing {', '.join(PACKAGES)}")
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update"], env=environment, **quiet)
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, env=environment, **quiet)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def stop_daemons(folder: Path) -> None:
    """End the daemons whose process ids lie in `folder`: by force where asking does not help."""
    for name in ("slurmd", "slurmctld"):
        try:
            pid = int((folder / f"{name}.pid").read_text())
        except (FileNotFoundError, ValueError):
            continue
        for number in (signal.SIGTERM, signal.SIGKILL):
            for _ in range(50):
                if not is_running(pid, name):
                    break
                os.kill(pid, number)
                time.sleep(0.1)


def is_running(pid: int, name: str) -> bool:
    """Whether that process is still the daemon of that name."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    except (FileNotFoundError, ProcessLookupError):
        return False


def remove_configuration() -> None:
    for name in ("slurm.conf", "gres.conf"):
        (ETC / name).unlink(missing_ok=True)


def clean_up_after_a_crash() -> None:
    """A run that was killed outright leaves its configuration, which names its folder."""
    configuration = ETC / "slurm.conf"
    if configuration.exists():
        found = re.search(r"^StateSaveLocation=(.*)/state$", configuration.read_text(), re.MULTILINE)
        if found:
            stop_daemons(Path(found[1]))
        remove_configuration()


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """A Slurm of one node with everything it writes in `folder`."""
    host = socket.gethostname().split(".")[0]
    controller_port, node_port = free_ports(2)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    prolog = folder / "prolog.sh"
    prolog.write_text(PROLOG.format(folder=folder))
    prolog.chmod(0o755)
    ETC.mkdir(exist_ok=True)
    configuration = Template((HERE / "slurm.conf").read_text()).substitute(
        host=host,
        folder=folder,
        cpus=os.cpu_count(),
        controller_port=controller_port,
        node_port=node_port,
    )
    try:
        # slurm.conf must lie where Slurm looks by default: SLURM_CONF does not reach the jobs.
        (ETC / "slurm.conf").write_text(configuration)
        shutil.copy(HERE / "gres.conf", ETC / "gres.conf")
        subprocess.run(["slurmctld"], check=True)
        subprocess.run(["slurmd"], check=True)
        wait_for_node(folder)
        yield
    finally:
        with suppress(subprocess.TimeoutExpired):
            subprocess.run(["scancel", "--user=root", "--quiet"], timeout=10, check=False)
        stop_daemons(folder)
        remove_configuration()


def wait_for_node(folder: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        asked = ["sinfo", "--noheader", "--format=%T %G"]
        state = subprocess.run(asked, capture_output=True, text=True, check=False).stdout
        if "idle gpu:1" in state:
            return
        time.sleep(0.5)
    refuse(f"the node did not come up with its GPU ({state.strip()}); logs in {folder}")


def copy_project(target: Path) -> None:
    """The working tree without what git ignores."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)


def snakemake(copy: Path, *options: str, gpus: int) -> tuple[int, str]:
    """Run the workflow with the profile for Slurm; exit code and everything it said."""
    bin_folder = Path(sys.executable).parent
    overlay = copy.parent / f"gpus{gpus}.yaml"
    overlay.write_text(f"compute: {{gpus: {gpus}}}\n")
    command = [
        str(bin_folder / "snakemake"),
        *("--workflow-profile", "profiles/slurm"),
        *("--configfile", "presets/test.yaml", str(overlay)),
        # The cluster is small and its files are local: look often, keep the evidence.
        *("--slurm-init-seconds-before-status-checks", "2"),
        *("--latency-wait", "5"),
        *("--retries", "0"),
        "--slurm-keep-successful-logs",
        *options,
    ]
    environment = {**os.environ, "PATH": f"{bin_folder}:{os.environ['PATH']}"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)  # jobs inherit it, and only Slurm shall set it
    said = []
    process = subprocess.Popen(
        command,
        cwd=copy,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with process, (copy.parent / "snakemake.log").open("a") as log:
        for line in process.stdout:
            said.append(line)
            log.write(line)
            if re.search(r"^\d+ of \d+ steps|^\w*Error|^triptych:", line):
                print(f"  {line.rstrip()}", flush=True)
    return process.returncode, "".join(said)


def finished_jobs(folder: Path) -> dict[str, dict[str, str]]:
    """Slurm's own record of the jobs that ended, by id, and the rule of each."""
    record = folder / "finished.txt"
    jobs = {}
    for line in record.read_text().splitlines() if record.exists() else []:
        job = dict(re.findall(r"(\w+)=(\S*)", line))
        jobs[job["JobId"]] = job
    for log in (folder / "triptych/results/logs/slurm").rglob("*.log"):
        if log.stem in jobs:
            parts = log.relative_to(folder / "triptych/results/logs/slurm").parts
            jobs[log.stem]["rule"] = parts[0].removeprefix("rule_")
    return jobs


def devices_seen(folder: Path) -> dict[str, set[str]]:
    """CUDA_VISIBLE_DEVICES in the processes of each job."""
    seen: dict[str, set[str]] = {}
    record = folder / "seen.txt"
    for line in record.read_text().splitlines() if record.exists() else []:
        job, _, devices = line.split()
        seen.setdefault(job, set()).add(devices)
    return seen


def queue_depth(jobs: list[dict[str, str]]) -> int:
    """How many of the jobs were in Slurm's hands at a time, waiting or running, at most."""
    return max(
        (sum(job["SubmitTime"] <= moment["SubmitTime"] < job["EndTime"] for job in jobs) for moment in jobs),
        default=0,
    )


def table(jobs: dict[str, dict[str, str]], seen: dict[str, set[str]]) -> str:
    rows = Counter(
        (job["Partition"], job.get("rule", "?"), "/".join(sorted(seen.get(job_id, ()))))
        for job_id, job in jobs.items()
    )
    lines = ["| partition | rule | jobs | CUDA_VISIBLE_DEVICES |", "|---|---|---|---|"]
    for (partition, rule, devices), count in sorted(rows.items()):
        lines.append(f"| {partition} | {rule} | {count} | {devices} |")
    return "\n".join(lines)


def first_run(folder: Path, copy: Path) -> Iterator[str]:
    """Everything, with GPUs; yields what was wrong."""
    started = time.monotonic()
    code, said = snakemake(copy, gpus=1)
    seconds = time.monotonic() - started
    jobs, seen = finished_jobs(folder), devices_seen(folder)
    partitions = Counter(job["Partition"] for job in jobs.values())
    spread = ", ".join(f"{count} in {name}" for name, count in sorted(partitions.items()))
    print(f"{len(jobs)} jobs in {seconds:.0f} s: {spread}\n{table(jobs, seen)}")
    if code:
        yield f"snakemake ended with {code}:\n{said[-2000:]}"
    for job_id, job in jobs.items():
        on_gpu = job.get("rule") in GPU_RULES
        expected = ("gpu", {"0"}) if on_gpu else ("cpu", {"none"})
        found = (job["Partition"], seen.get(job_id))
        if found != expected:
            yield f"job {job_id} ({job.get('rule')}): {found} instead of {expected}"
        if job["JobState"] != "COMPLETED":
            yield f"job {job_id} ({job.get('rule')}) is {job['JobState']}"
    missing = GPU_RULES - {job.get("rule") for job in jobs.values()}
    if missing:
        yield f"no job of {', '.join(sorted(missing))}"
    depth = queue_depth([job for job in jobs.values() if job["Partition"] == "gpu"])
    print(f"up to {depth} GPU jobs in the queue at a time")
    if depth < 2:
        yield "GPU jobs were submitted one at a time"


def second_run(folder: Path, copy: Path) -> Iterator[str]:
    """Every target is there, and Snakemake knows it."""
    before = len(finished_jobs(folder))
    code, said = snakemake(copy, gpus=1)
    if code or "Nothing to be done" not in said:
        yield f"a second run finds something to do:\n{said[-2000:]}"
    if len(finished_jobs(folder)) != before:
        yield "a second run submitted jobs"
    if not (copy / "results/report/index.html").stat().st_size:
        yield "the report is empty"


def run_without_gpus(folder: Path, copy: Path) -> Iterator[str]:
    """One training again, with compute.gpus: 0; it must go where there are none."""
    before = finished_jobs(folder)
    code, _ = snakemake(copy, "--forcerun", "train_supervised", "--until", "train_supervised", gpus=0)
    new = {key: job for key, job in finished_jobs(folder).items() if key not in before}
    found = {(job.get("rule"), job["Partition"], job["JobState"]) for job in new.values()}
    if code or found != {("train_supervised", "cpu", "COMPLETED")}:
        yield f"with compute.gpus=0, exit code {code} and jobs {found}"


def main() -> int:
    check_machine()
    # An end by Ctrl-C, kill or a closed terminal cleans up, too.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    install()
    clean_up_after_a_crash()
    folder = Path(tempfile.mkdtemp(prefix="triptych-slurm-"))
    copy = folder / "triptych"
    copy_project(copy)
    wrong: list[str] = []
    with cluster(folder):
        print(f"Slurm is up; running presets/test.yaml in {copy}", flush=True)
        for check in (first_run, second_run, run_without_gpus):
            wrong += check(folder, copy)
            if wrong:
                break
            print(f"{check.__name__}: as it should be", flush=True)
    if wrong:
        print("\n".join(f"FAIL: {line}" for line in wrong))
        print(f"The copy and all logs are kept in {folder}")
        return 1
    shutil.rmtree(folder)
    print("PASS")
    return 0


if __name__ == "__main__":
    sys.exit(main())
