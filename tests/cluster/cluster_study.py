"""A copy of the project that runs on a test cluster, and the config of its trainings."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

PROJECT = Path(__file__).resolve().parents[2]
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
TIMES = ["seconds", "images_per_second", "model_share"]


def copy_project(folder: Path, preset: dict[str, Any] | None = None) -> None:
    """Copy the working tree, without what git ignores, and write the preset as `mine.yaml`."""
    listing = ["git", "-c", "safe.directory=*", "ls-files", "-z", "-co", "--exclude-standard"]
    names = subprocess.run(listing, cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    (folder / "mine.yaml").write_text(yaml.safe_dump(preset or {}))


class ClusterStudy:
    """A study in a subfolder of a copy of the project, by `--directory`."""

    def __init__(self, project: Path) -> None:
        self.project, self.folder = project, project / "studies/cluster"
        self.folder.mkdir(parents=True)
        self.results, self.log = self.folder / "results", self.folder / "snakemake.log"
        self.environment: dict[str, str] = {}  # on top of that of the tests

    @contextmanager
    def running(self, *options: str) -> Iterator["subprocess.Popen[str]"]:
        """Snakemake with the tests' preset, which is ended if it still runs; its output goes to `log`."""
        command = [str(SNAKEMAKE), "--directory", str(self.folder), "--nocolor", *options]
        command += ["--configfile", "presets/test.yaml", "mine.yaml"]
        environment = {
            **os.environ,
            "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.project / "src"),  # not the installed project
            **self.environment,
        }
        environment.pop("CUDA_VISIBLE_DEVICES", None)  # jobs inherit it
        with self.log.open("a") as log:
            process = subprocess.Popen(
                command, cwd=self.project, env=environment, text=True, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # cancels its jobs
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    process.kill()

    def run(self, *options: str) -> str:
        """Run Snakemake to its end and return what it said."""
        before = self.log.stat().st_size if self.log.exists() else 0
        with self.running(*options) as process:
            code = process.wait()
        said = self.log.read_text()[before:]
        assert code == 0, said[-6000:]
        return said

    def job_log(self, result: str) -> str:
        """The log of the last attempt of a job, by the folder of its results."""
        return (self.results / "logs" / f"{result}.log").read_text()

    def bits(self, result: str) -> dict[str, str]:
        """SHA-256 of what a training wrote, without the times in its history."""
        folder = self.results / result
        files = {name: (folder / name).read_bytes() for name in ("model.safetensors", "predictions.npy")}
        history = pd.read_csv(folder / "history.csv", dtype=str)
        files["history.csv"] = history.drop(columns=TIMES).to_csv().encode()
        return {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
