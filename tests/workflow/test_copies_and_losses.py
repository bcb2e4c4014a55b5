"""A finished study is recognised in another place and without Snakemake's folder; edits are noticed."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Study
from test_promises import PAGE, VIT_REPORT, cells

EDITED = "is not as its job wrote it; it is computed again"
CELL = "results/grid/vit-cutmix/seed0"


def lose_snakemakes_folder(study: Study) -> None:
    shutil.rmtree(study.folder / ".snakemake")


def test_a_copy_is_up_to_date(copied: Study) -> None:
    assert copied.plan() == set()


def test_a_copy_that_is_moved_is_up_to_date(copied: Study, tmp_path: Path) -> None:
    assert Study(copied.folder.rename(tmp_path / "moved")).plan() == set()


@pytest.mark.parametrize("options", ["-rL", "-a"])
def test_a_copy_that_follows_links_or_keeps_times_is_up_to_date(
    original: Path, tmp_path: Path, options: str
) -> None:
    subprocess.run(["cp", options, original, tmp_path / "copy"], check=True)
    assert Study(tmp_path / "copy").plan() == set()


def test_a_study_that_is_checked_out_with_its_results_is_up_to_date(copied: Study, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", "-C", copied.folder, *arguments], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("add", "--force", "results")
    git("-c", "user.name=me", "-c", "user.email=me@example.org", "commit", "-m", "results")
    git("clone", ".", str(tmp_path / "clone"))
    clone = Study(tmp_path / "clone")
    assert not (clone.folder / ".snakemake").exists()
    assert clone.plan() == set()


def test_without_snakemakes_folder_nothing_reruns_if_nothing_changed(copied: Study) -> None:
    lose_snakemakes_folder(copied)
    assert copied.plan() == set()


def test_without_snakemakes_folder_a_changed_cell_reruns_and_what_shows_it(copied: Study) -> None:
    lose_snakemakes_folder(copied)
    preset = copied.preset.read_bytes()
    copied.configure(grid={"cells": {"vit-cutmix": {"epochs": 3}}})
    assert copied.plan() == cells("vit with cutmix") | VIT_REPORT
    copied.preset.write_bytes(preset)  # a dry run has changed nothing
    assert copied.plan() == set()


def test_without_snakemakes_folder_a_seed_that_is_left_out_reruns_what_shows_it(copied: Study) -> None:
    lose_snakemakes_folder(copied)
    copied.configure(grid={"seeds": [0]})
    plan = copied.plan()
    assert "Tables: architecture x augmentation" in plan and PAGE in plan
    assert not any(job.startswith("Grid:") for job in plan)


def test_without_snakemakes_folder_changed_code_is_noticed(copied: Study) -> None:
    lose_snakemakes_folder(copied)
    path = copied.folder / "src/triptych/ssl/knn.py"
    path.write_text(f"{path.read_text()}\nEDITED = 1\n")
    assert "Nearest neighbours by the simclr encoder, seed 0" in copied.plan()


def test_touched_results_and_sources_rerun_nothing(copied: Study) -> None:
    for path in [*copied.folder.glob("src/**/*"), *copied.folder.glob("results/**/*")]:
        os.utime(path)
    assert copied.plan() == set()


@pytest.mark.parametrize("lost", [False, True])
def test_an_edited_and_a_truncated_result_are_computed_again_and_named(copied: Study, lost: bool) -> None:
    if lost:
        lose_snakemakes_folder(copied)
    metrics, field = (
        copied.folder / CELL / "metrics.json",
        copied.folder / "results/scenes/orbit/radiance/field.safetensors",
    )
    kept = metrics.read_text()
    metrics.write_text(kept.replace("0", "1"))
    os.truncate(field, 1000)
    output = copied.run("--dry-run")
    assert f"triptych: {CELL}/metrics.json {EDITED}" in output
    assert f"triptych: results/scenes/orbit/radiance/field.safetensors {EDITED}" in output
    plan = copied.plan()
    assert {"Grid: vit with cutmix, seed 0", "Radiance field of orbit: training", PAGE} <= plan
    assert not any(job.startswith("Grid: resnet18") for job in plan)


def test_an_edit_that_is_undone_reruns_nothing(copied: Study) -> None:
    metrics = copied.folder / CELL / "metrics.json"
    kept = metrics.read_text()
    metrics.write_text(kept + "\n")
    assert "Grid: vit with cutmix, seed 0" in copied.plan()
    metrics.write_text(kept)
    assert copied.plan() == set()


def test_an_edited_result_is_computed_as_before(copied: Study) -> None:
    history = copied.folder / CELL / "history.csv"
    kept = history.read_text()
    history.write_text("epoch\n")
    copied.run(f"{CELL}/history.csv")
    assert history.read_text().splitlines()[0] == kept.splitlines()[0]
    assert EDITED not in copied.run("--dry-run")
