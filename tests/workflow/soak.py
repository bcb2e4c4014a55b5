"""Kill real runs at random moments, and check that the next run ends as if nothing had happened.

    python tests/workflow/soak.py --kills 100 --seed 0

In each round, one kind of job is started on tiny data, killed at a random moment, killed again while it
resumes, a few times, and then left alone. After each kill no process is left. After the round `--unlock` was
not needed, a saved state was resumed, all results have the same bits as those of an undisturbed run,
Snakemake has nothing to do, and no temporary files are left.
"""

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import yaml
from conftest import SNAKEMAKE, copy_project

from triptych.workflow.files import digest_of_file, digest_of_value

CELL = {"epochs": 6, "batch_size": 16, "warmup_epochs": 1}
PROBES = {name: {"validation": "auto"} for name in ("probe", "supervised", "fine_tune")}
CONFIG = {
    "compute": {"threads": 1, "gpus": 0, "kernels": "off", "checkpoint_minutes": 0.0001},
    "datasets": {"shapes": {"train": 100, "test": 20}},
    "self_supervision": {**PROBES, "simclr": {"epochs": 6, "batch_size": 32}},
    "grid": {"validation": "auto"},
    "architectures": {
        "resnet18": {"recipes": {"modern": CELL}},
        "vit": {"recipes": {"modern": {**CELL, "gpus": 2}}},
    },
    "reconstruction": {"radiance": {"steps": 30, "log_every": 3}},
}
# The outputs of each kind of job; the last one is the target.
KINDS = {
    "simclr": ["results/simclr/seed0/metrics.json"],
    "cell": ["results/grid/resnet18-baseline/seed0/metrics.json"],
    "workers": ["results/grid/vit-baseline/seed0/metrics.json"],
    "sfm": [f"results/scenes/orbit/{name}" for name in ("database.db", "sfm/images.bin", "sfm.json")],
    "radiance": ["results/scenes/orbit/radiance/metrics.json"],
}
INPUTS = {"sfm": "results/scenes/orbit/frames", "radiance": "results/scenes/orbit/transforms.json"}
DATA = "results/data/shapes/digest.txt"  # the input of the others
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
VICTIMS = ("trainer", "snakemake", "both", "group")
MARK = "TRIPTYCH_SOAK"  # in the environment of all processes of a run
END_SECONDS = 300.0  # until all processes of a killed run have ended
TIMES = re.compile(r"seconds|images_per_second|rays_per_second|model_share|provenance|finished")
TEMPORARY = re.compile(r"\..+-[a-z0-9_]{8}(\.\w+)?(-\w+)?")


def results(study: Path, kind: str) -> dict[str, str]:
    """Digest of each result file of a kind, without times."""
    folders = {(study / output).parent for output in KINDS[kind]}
    files = sorted(file for folder in folders for file in folder.glob("*") if file.is_file())
    return {str(file.relative_to(study)): digest_of_value(_content(file)) for file in files}


def _content(file: Path) -> Any:
    if file.suffix == ".json":
        return _without_times(json.loads(file.read_text()))
    if file.suffix == ".csv":
        with file.open() as stream:
            return _without_times(list(csv.DictReader(stream)))
    return digest_of_file(file)


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_times(item) for key, item in value.items() if not TIMES.search(key)}
    return [_without_times(item) for item in value] if isinstance(value, list) else value


class Soak:
    """A study on tiny data, and the digests of its undisturbed results."""

    def __init__(self, study: Path, kinds: Sequence[str], seed: int) -> None:
        self.study, self.kinds, self.random = study, kinds, random.Random(seed)
        copy_project(study)
        (study / "soak.yaml").write_text(yaml.safe_dump(CONFIG))
        self.finish(*{INPUTS.get(kind, DATA) for kind in kinds})
        self.seconds, self.undisturbed = {}, {}
        for kind in kinds:
            self.remove(kind)
            began = time.monotonic()
            self.finish(KINDS[kind][-1])
            self.seconds[kind] = time.monotonic() - began
            self.undisturbed[kind] = results(study, kind)

    def remove(self, kind: str) -> None:
        """Remove the results of a kind, so that its jobs run again."""
        for output in KINDS[kind]:
            (self.study / output).unlink(missing_ok=True)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start Snakemake as the leader of a process group; its words are appended to soak.log."""
        command = [str(SNAKEMAKE), *arguments, "--cores", "1"]
        command += ["--configfile", "presets/test.yaml", "soak.yaml"]
        with (self.study / "soak.log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.study,
                env={**os.environ, MARK: str(self.study)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def finish(self, *arguments: str) -> str:
        """Run Snakemake undisturbed, expect success, and return what it printed."""
        size = (self.study / "soak.log").stat().st_size if (self.study / "soak.log").exists() else 0
        code = self.start(*arguments).wait()
        printed = (self.study / "soak.log").read_bytes()[size:].decode(errors="replace")
        assert code == 0, f"{arguments}: exit code {code}\n{printed[-3000:]}"
        return printed

    def processes(self) -> list[psutil.Process]:
        """All living processes of this study's runs, also those whose parents have ended."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            ours = process.environ().get(MARK) == str(self.study)
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def kill(self, kind: str) -> str:
        """Start a run, kill it at a random moment, wait for its end, and say what was done in words."""
        number, victim = self.random.choice(SIGNALS), self.random.choice(VICTIMS)
        moment = self.random.uniform(0, self.seconds[kind])
        snakemake = self.start(KINDS[kind][-1])
        while self._ends_within(moment, snakemake):  # it resumed, or the machine is faster than before
            moment *= 0.8
            self.remove(kind)
            snakemake = self.start(KINDS[kind][-1])
        below = psutil.Process(snakemake.pid).children(recursive=True)
        trainers = [process for process in below if ".snakemake/scripts" in " ".join(_words(process))]
        chosen = {
            "trainer": trainers or [snakemake],
            "both": [*trainers, snakemake],
            "snakemake": [snakemake],
        }
        if victim == "group":
            os.killpg(snakemake.pid, number)
        for process in chosen.get(victim, []):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        deadline = time.monotonic() + END_SECONDS
        while snakemake.poll() is None or self.processes():
            assert time.monotonic() < deadline, f"{kind}: {self.processes()} do not end"
            time.sleep(0.5)
        return f"{victim} {number.name} at {moment:.1f} s"

    def _ends_within(self, seconds: float, snakemake: subprocess.Popen[bytes]) -> bool:
        try:
            code = snakemake.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        assert code == 0, f"exit code {code} of a run that was left alone, see soak.log"
        return True

    def round(self, kind: str, kills: int) -> str:
        """Remove the results of a kind, kill the runs that make them, finish, and compare."""
        self.remove(kind)
        done = [self.kill(kind) for _ in range(kills)]
        saved = list((self.study / "results/checkpoints").rglob("step-*.pt"))
        missing = not (self.study / KINDS[kind][-1]).exists()
        self.finish(KINDS[kind][-1])
        logs = (self.study / "results/logs").rglob("*.log")
        newest = max(logs, key=lambda path: path.stat().st_mtime)
        assert not (saved and missing) or "resuming from" in newest.read_text(), f"{saved} not resumed"
        found = results(self.study, kind)
        differing = [name for name, digest in self.undisturbed[kind].items() if found.get(name) != digest]
        assert not differing, f"{differing} differ from those of an undisturbed run"
        names = [
            path for path in (self.study / "results").rglob("*") if not path.is_dir() or path.name[0] == "."
        ]
        left = [path for path in names if TEMPORARY.fullmatch(path.name) or path.name.startswith("step-")]
        assert not left, f"{left} are left"
        assert "Nothing to be done" in self.finish(KINDS[kind][-1], "--dry-run")
        return f"{kind}: {'; '.join(done)}{'; resumed' if saved and missing else ''}"


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def soak(study: Path, *, kills: int, seed: int, kinds: Sequence[str] = tuple(KINDS), each: int = 4) -> int:
    """Kill `kills` runs, `each` of them in a round; returns how many rounds failed."""
    runs, failed = Soak(study, kinds, seed), 0
    for number, done in enumerate(range(0, kills, each)):
        kind, count = kinds[number % len(kinds)], min(each, kills - done)
        began = time.monotonic()
        try:
            words = runs.round(kind, count)
        except AssertionError as problem:
            failed += 1
            words = f"FAILED {kind}: {problem}"
        print(f"{done + count}/{kills} {words} ({time.monotonic() - began:.0f} s)", flush=True)
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=100, help="number of killed runs")
    parser.add_argument("--seed", type=int, default=0, help="seed of moments, victims and signals")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="kinds of jobs")
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"study: {folder}", flush=True)
    sys.exit(soak(folder, kills=chosen.kills, seed=chosen.seed, kinds=chosen.kinds) > 0)
