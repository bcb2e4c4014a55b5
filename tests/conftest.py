"""Shared by all tests."""

import os
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


@pytest.fixture(scope="session")
def study_results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fabricated study with its figures and its page; a test that changes it copies it first."""
    from report_pages import make_figures, make_page
    from report_results import fabricate

    results = fabricate(tmp_path_factory.mktemp("study"))
    make_figures(results)
    make_page(results)
    return results
