"""Tables, figures and the page of results that are there: nothing is downloaded, packed or trained."""

import re
from pathlib import Path

import pytest
from conftest import Study

pytestmark = pytest.mark.slow


def test_only_what_shows_the_results_is_run(checkout: Study, tmp_path: Path) -> None:
    for name in ("data/shapes/dataset.json", "data/shapes/test_labels.npy"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    for name in ("metrics.json", "history.csv", "predictions.npy"):
        file = tmp_path / "grid/resnet18-cutmix/seed1" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    output = checkout.run(
        "--dry-run", "--config", f"results_from={tmp_path}", "parts=[self_supervision,grid]"
    )
    jobs = set(re.findall(r"^ *Job \d+: (.+)$", output, flags=re.MULTILINE))
    assert jobs - {"All of it is there"} == {
        "Counting the parameters of the report's models",
        "Table: parameters",
        "Tables: architecture x augmentation",
        "Figure: all cells and confusion matrices",
        "Figure: overfitting",
        "Figure: curves of resnet18",
        "Report: results/report/index.html",
    }


def test_a_folder_without_results_is_one_clear_line(checkout: Study, tmp_path: Path) -> None:
    done = checkout.snakemake("--dry-run", "--config", f"results_from={tmp_path}")
    assert done.returncode != 0
    assert "has no results of parts 1 and 2 that this config names" in done.stdout + done.stderr
