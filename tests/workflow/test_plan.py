"""The plan of costs is about the jobs that the real Snakemake would run."""

import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT, Study


def run_plan(study: Study, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m triptych.workflow.plan` in a study."""
    command = [sys.executable, "-m", "triptych.workflow.plan", *arguments]
    environment = os.environ | {"PYTHONPATH": str(study.folder / "src")}
    return subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True)


def plan_costs(study: Study, *arguments: str) -> str:
    """What it prints for the tests' preset."""
    done = run_plan(study, *arguments, "--configfile", str(study.preset))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_finished_jobs_cost_nothing_and_are_the_rates_of_new_ones(study: Study) -> None:
    assert plan_costs(study) == "Nothing to be done.\n"
    again = plan_costs(study, "--forcerun", "results/grid/vit-cutmix/seed0/metrics.json")
    (cell,) = (line for line in again.splitlines() if "train_cell" in line)
    assert cell.split()[0] == "1" and "3 jobs of this study" in cell and "?" not in cell


def test_what_has_not_been_measured_is_named(checkout: Study) -> None:
    text = plan_costs(checkout, "results/data/shapes/digest.txt", "results/grid/parameters.json")
    assert re.search(r"^ +1 +\? +\? +\? +draw_shapes: 500 images +unknown$", text, flags=re.MULTILINE)
    assert "Not counted: 2 jobs of a kind" in text


def test_an_error_in_the_config_is_one_line(checkout: Study) -> None:
    done = run_plan(checkout, "--config", "parts=[grod]")
    assert done.returncode == 1
    assert "grod" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.slow
def test_every_job_of_the_demo_has_been_measured(checkout: Study) -> None:
    done = run_plan(checkout, "--cores", "2", "--configfile", "presets/demo.yaml")
    assert "Wall time" in done.stdout and "Not counted" not in done.stdout


@pytest.mark.slow
def test_the_documents_give_the_hours_that_are_planned_for_a_machine_without_a_gpu(checkout: Study) -> None:
    done = run_plan(checkout, "--cores", "2", "--configfile", "presets/cpu.yaml")
    ((jobs, core_hours),) = re.findall(r"^ *(\d+) +([\d.]+)\+? .* all", done.stdout, flags=re.MULTILINE)
    (wall_hours,) = re.findall(r"^Wall time on 2 cores.*?(\d+):\d+:\d+", done.stdout, flags=re.MULTILINE)
    told = {
        "presets/cpu.yaml": f"{float(core_hours):.0f} core-hours",
        "docs/scale.md": f"| {jobs} | {float(core_hours):.1f} core-hours",
        "docs/start.md": f"{float(core_hours):.0f} core-hours, that is {wall_hours} hours or more on 2 cores",
        "README.md": f"({wall_hours} hours or more on 2 cores)",
        "README.zh-CN.md": f"（用 2 个 CPU 核要 {wall_hours} 小时以上）",
    }
    assert {name for name, hours in told.items() if hours not in (ROOT / name).read_text()} == set()
