"""Copies of the project in which the real Snakemake has run the whole DAG once on tiny data."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))  # the scenes that the unit tests draw
SNAKEMAKE = Path(sys.executable).with_name("snakemake")


def copy_project(target: Path) -> None:
    """Copy what git tracks, and what it would track, as a checkout has it."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


class Study:
    """A checkout, and the preset it is run with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.preset = folder / "presets/test.yaml"
        self.environment: dict[str, str] = {}  # on top of that of the tests

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Snakemake with the tests' preset; the caller looks at the exit code."""
        command = [str(SNAKEMAKE), "--cores", "2", "--configfile", str(self.preset), "--nocolor", *arguments]
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= self.environment
        return subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)

    def run(self, *arguments: str) -> str:
        """Run Snakemake and expect success."""
        done = self.snakemake(*arguments)
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr

    def plan(self, *arguments: str) -> set[str]:
        """The messages of the jobs that would run now, besides the final target itself."""
        output = self.run("--dry-run", *arguments)
        jobs = set(re.findall(r"^\s*Job \d+: (.+)$", output, flags=re.MULTILINE))
        assert jobs or "Nothing to be done" in output, output[-3000:]
        return jobs - {"All of it is there"}

    def configure(self, **changes: object) -> None:
        """Merge changes into the preset."""
        from snakemake.utils import update_config

        config = yaml.safe_load(self.preset.read_text())
        update_config(config, changes)
        self.preset.write_text(yaml.safe_dump(config))


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A fresh checkout in which nothing has run."""
    folder = tmp_path_factory.mktemp("checkout")
    copy_project(folder)
    return Study(folder)


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which everything has run once, the same for all processes that run tests."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "original"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "results/report/index.html").exists():
            copy_project(folder)
            Study(folder).run()
    return folder


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, original: Path) -> Study:
    """A copy of it for the tests of one process."""
    return Study(shutil.copytree(original, tmp_path_factory.mktemp("study") / "triptych", symlinks=True))


@pytest.fixture
def study(finished: Study) -> Iterator[Study]:
    """The finished study; a test's changes to config and sources are undone after it."""
    kept = {path: path.read_bytes() for path in [finished.preset, *finished.folder.glob("src/**/*.py")]}
    yield finished
    for path, content in kept.items():
        if path.read_bytes() != content:
            path.write_bytes(content)


@pytest.fixture
def copied(tmp_path: Path, original: Path) -> Study:
    """A copy of the finished study for one test, as `cp -r` makes it: with other times."""
    subprocess.run(["cp", "-r", original, tmp_path / "copy"], check=True)
    return Study(tmp_path / "copy")
