"""Shared by all tests."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import settings

# The tensors of the tests are tiny: a second thread costs more than it brings.
torch.set_num_threads(1)
# A property holds however busy the machine is.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

BLOCK_NUMBA = """
import sys


class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("numba", "llvmlite"):
            raise ModuleNotFoundError(f"No module named '{name}'")


sys.meta_path.insert(0, Blocker())
"""


@pytest.fixture
def without_numba(tmp_path: Path) -> dict[str, str]:
    """Environment variables that hide numba from every Python process."""
    folder = tmp_path / "no_numba"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(BLOCK_NUMBA)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.name != "posix" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a full disk takes a tmpfs, which only root may mount")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.fixture
def styled() -> Iterator[None]:
    """Figures are drawn as on the page."""
    from triptych.report.figures import report_style

    with report_style():
        yield


@pytest.fixture(scope="session")
def study_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fabricated study with its figures and its page; a test that changes it copies it first."""
    from report_pages import make_figures, make_page
    from report_results import fabricate

    results = fabricate(tmp_path_factory.mktemp("study"))
    make_figures(results)
    make_page(results)
    return results
