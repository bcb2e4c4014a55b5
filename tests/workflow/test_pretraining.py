"""Pretraining in the real DAG: by minutes instead of epochs, once all sizes are known to fit the data."""

import json
from pathlib import Path

import pytest
from conftest import Study, copy_project

pytestmark = pytest.mark.slow

TARGET = "results/simclr/seed0/metrics.json"
PLANNING = "SimCLR: how many epochs fit into the minutes"
PRETRAINING = "SimCLR: pretraining without labels, seed 0"


@pytest.fixture(scope="module")
def budgeted(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("budget")
    copy_project(folder)
    study = Study(folder)
    study.configure(self_supervision={"simclr": {"minutes": 0.3, "warmup_epochs": 0}})
    study.run(TARGET)
    return study


def result(study: Study, name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((study.folder / "results/simclr" / name).read_text())
    return found


def test_as_many_epochs_are_trained_as_were_planned_for_the_minutes(budgeted: Study) -> None:
    planned = result(budgeted, "plan.json")["epochs"]
    assert result(budgeted, "seed0/metrics.json")["epochs"] == planned >= 1
    history = Path(budgeted.folder / "results/simclr/seed0/history.csv").read_text().splitlines()
    assert len(history) == 1 + planned


def test_a_plan_stands_until_something_changes_that_it_was_measured_for(budgeted: Study) -> None:
    budgeted.configure(self_supervision={"simclr": {"epochs": 7}})
    assert budgeted.plan(TARGET) == set()
    budgeted.configure(
        self_supervision={"simclr": {"min_lr_ratio": 0.1, "warmup_peak": 2, "temperature": 0.3}}
    )
    assert budgeted.plan(TARGET) == {PRETRAINING}
    budgeted.configure(self_supervision={"simclr": {"minutes": 0.5}})
    assert budgeted.plan(TARGET) == {PLANNING, PRETRAINING}


def test_all_sizes_that_do_not_fit_the_data_are_named_once_before_the_pretraining(budgeted: Study) -> None:
    budgeted.configure(
        self_supervision={
            "simclr": {"minutes": None, "epochs": 1},
            "probe": {"validation": 400},
            "supervised": {"validation": 395},
        },
        grid={"validation": 4000},
    )
    done = budgeted.snakemake(TARGET)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    told = [line for line in done.stderr.splitlines() if line.startswith("triptych: config: ")]
    assert len(told) == 3 and all("set it to auto, which is a tenth" in line for line in told)
    for place in ("self_supervision.probe", "self_supervision.supervised", "grid"):
        assert sum(f"config: {place}.validation is" in line for line in told) == 1
    assert "epoch=" not in output
    budgeted.configure(
        self_supervision={"probe": {"validation": "auto"}, "supervised": {"validation": 100}},
        grid={"validation": "auto"},
    )
    budgeted.run(TARGET)
    budgeted.configure(self_supervision={"label_fraction": {"percents": [40]}})
    assert budgeted.plan(TARGET) == set()
