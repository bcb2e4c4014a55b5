"""The whole study without compiled kernels: plain PyTorch does everything."""

import json
from pathlib import Path

import pytest
from conftest import Study, copy_project

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def tiers(study: Study) -> set[str | None]:
    """`kernels` of every provenance."""
    found = set()
    for path in (study.folder / "results").rglob("*.json"):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "provenance" in content:
            found.add(content["provenance"]["kernels"])
    return found


def weights(study: Study) -> dict[str, bytes]:
    """All trained networks."""
    folder = study.folder / "results"
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.safetensors")}


def logs(study: Study) -> str:
    return "\n".join(path.read_text() for path in (study.folder / "results/logs").rglob("*.log"))


def test_the_study_runs_without_numba_and_with_kernels_off(
    tmp_path: Path, without_numba: dict[str, str]
) -> None:
    copy_project(tmp_path / "study")
    study = Study(tmp_path / "study")

    study.environment = without_numba
    study.run()
    assert tiers(study) == {"off", None}  # None: jobs without tensors
    assert "kernels: off (numba is not installed)" in logs(study)
    without = weights(study)
    assert without

    study.environment = {}
    study.configure(compute={"kernels": "off"})
    assert study.plan() == set()  # what decides how fast a result is computed makes none stale
    study.run("--forcerun", "pretrain_simclr", "train_supervised", "train_cell", "train_radiance")
    assert tiers(study) == {"off", None}
    assert "kernels: off (as configured)" in logs(study)
    assert weights(study) == without
