"""A scene trained by (a stand-in for) NVlabs' instant-ngp, through the real DAG."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import Study, copy_project
from sphere_scene import write_blender_scene

pytestmark = pytest.mark.slow

TRAINING = "Instant-NGP of balls: training"
FILM = "Instant-NGP of balls: fly-through"
REPORT = "Report: results/report/index.html"


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A checkout in which `backend: auto` has found the stand-in and a driver that lists a GPU."""
    folder, bin = tmp_path_factory.mktemp("ngp"), tmp_path_factory.mktemp("bin")
    copy_project(folder)
    (bin / "nvidia-smi").write_text("#!/bin/sh\necho 'GPU 0: NVIDIA (stand-in)'\n")
    (bin / "nvidia-smi").chmod(0o755)
    balls = write_blender_scene(tmp_path_factory.mktemp("mine") / "balls", train=6, test=2, side=24)
    study = Study(folder)
    study.environment["PATH"] = f"{bin}{os.pathsep}{os.environ['PATH']}"
    study.configure(
        parts=["reconstruction"],
        compute={"gpus": 1},
        reconstruction={
            "scenes": ["balls"],
            "radiance": {"downscale": 1},
            "instant_ngp": {"root": "tests/unit/instant_ngp", "python": sys.executable, "steps": 50},
        },
        scenes={"balls": {"source": "transforms", "path": str(balls)}},
    )
    assert "scene balls is trained by instant-ngp 2.0" in study.run()
    return study


def scene(study: Study) -> Path:
    return study.folder / "results/scenes/balls"


def test_it_writes_a_snapshot_views_a_film_and_the_page_names_it(study: Study) -> None:
    assert json.loads((scene(study) / "radiance/snapshot.ingp").read_text())["training_step"] == 50
    assert json.loads((scene(study) / "radiance/metrics.json").read_text())["backend"] == "instant-ngp 2.0"
    views = json.loads((scene(study) / "views.json").read_text())["views"]
    assert [view["name"] for view in views] == ["test_0000", "test_0001"]
    assert (scene(study) / "flythrough.mp4").stat().st_size > 0
    assert not (scene(study) / "radiance/field.json").exists()
    page = (study.folder / "results/report/index.html").read_text()
    assert ">instant-ngp 2.0</a>" in page and "Depth of test_0000" not in page


def test_only_what_a_setting_decides_is_made_again(study: Study) -> None:
    assert study.plan() == set()
    assert study.plan("--config", "reconstruction={'flythrough': {'quality': 30}}") == {FILM, REPORT}
    trained = study.plan("--config", "reconstruction={'instant_ngp': {'steps': 60}}")
    assert {TRAINING, FILM, REPORT} <= trained
    assert study.plan("--config", "reconstruction={'radiance': {'samples_per_step': 2048}}") == set()


def test_without_a_gpu_the_own_backend_is_chosen_and_said(study: Study) -> None:
    hidden = {"CUDA_VISIBLE_DEVICES": ""}
    study.environment |= hidden
    try:
        output = study.run("--dry-run")
    finally:
        del study.environment["CUDA_VISIBLE_DEVICES"]
    assert "scene balls: no GPU for instant-ngp (none is visible, " in output
    assert "Radiance field of balls: training" in output and TRAINING not in output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("{'instant_ngp': {'root': 'nowhere'}}", "instant_ngp.root: nowhere has no scripts/run.py; give"),
        ("{'radiance': {'backend': 'instant-ngp'}, 'instant_ngp': {'root': null}}", "root is null; give the"),
        ("{'radiance': {'backend': 'instant-ngp', 'device': 'cpu'}}", "instant-ngp needs a GPU; set"),
    ],
)
def test_what_cannot_run_is_one_clear_line_before_anything_runs(
    study: Study, change: str, message: str
) -> None:
    done = study.snakemake("--dry-run", "--config", f"reconstruction={change}")
    assert done.returncode != 0
    assert message in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr
