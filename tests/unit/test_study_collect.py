"""Finished results of a run are copied into study/ only if they are complete, committed and of the preset."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from triptych.config.cells import cell_recipe
from triptych.study.__main__ import main
from triptych.study.recipes import recipe_differences, study_config
from triptych.workflow.files import read_json, write_json
from triptych.workflow.provenance import provenance
from triptych.workflow.records import write_record

ROOT = Path(__file__).parents[2]
PRESET = str(ROOT / "presets/test.yaml")
CELL = "grid/vit-cutmix/seed0"
CONFIG = study_config([PRESET])
RECIPE = cell_recipe(CONFIG, "vit", "cutmix")
Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run with a data set and one finished cell, written and recorded as the jobs do."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder)
    data, cell = Path("results/data/shapes"), Path("results") / CELL
    for path in (data, cell):
        path.mkdir(parents=True)
    facts = {"revision": "0123456789ab", "data": {"name": "shapes", "digest": "a" * 16}}
    recipe = {**CONFIG["datasets"]["shapes"], "path": "/home/me/shapes.tar.gz"}
    write_json(
        data / "dataset.json",
        {
            "name": "shapes",
            "digest": "a" * 64,
            "counts": {"train": 400, "test": 100},
            "source": {"path": "/home/me/shapes.tar.gz"},
            "provenance": provenance(recipe=recipe) | facts,
        },
    )
    for name in ("train_images.npy", "test_labels.npy"):
        np.save(data / name, np.arange(10))
    write_record([str(data / name) for name in ("train_images.npy", "test_labels.npy", "dataset.json")])
    (cell / "model.safetensors").write_bytes(b"weights")
    (cell / "history.csv").write_text("epoch\n1\n")
    np.save(cell / "predictions.npy", np.arange(10, dtype=np.uint8))
    finish({"test_top1_error": 40.0, "provenance": provenance(recipe=RECIPE, seed=0, wall_seconds=9) | facts})
    monkeypatch.chdir(ROOT)
    return folder


def finish(metrics: dict[str, Any]) -> None:
    """The job of the cell ends with these metrics."""
    folder = Path("results") / CELL
    write_json(folder / "metrics.json", metrics)
    names = ("model.safetensors", "metrics.json", "history.csv", "predictions.npy")
    write_record([str(folder / name) for name in names])


def rerun(run: Path, monkeypatch: pytest.MonkeyPatch, change: Change) -> None:
    """The cell is trained again; `change` edits its metrics."""
    metrics = read_json(run / "results" / CELL / "metrics.json")
    change(metrics)
    monkeypatch.chdir(run)
    finish(metrics)
    monkeypatch.chdir(ROOT)


def collect(run: Path, *more: str) -> int:
    """The real command, into `study` beside the run."""
    return main(["collect", str(run), "--study", str(run.parent / "study"), "--configfile", PRESET, *more])


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_numbers_curves_and_predictions_are_copied_and_weights_are_not(run: Path) -> None:
    assert collect(run) == 0
    study = run.parent / "study"
    kept = ("metrics.json", "history.csv", "predictions.npy")
    assert files(study) == {
        "manifest.json",
        *("data/shapes/dataset.json", "data/shapes/test_labels.npy"),
        *(f"{CELL}/{name}" for name in kept),
    }
    for name in kept:
        assert (study / CELL / name).read_bytes() == (run / "results" / CELL / name).read_bytes()
    entry = read_json(study / "manifest.json")[CELL]
    assert entry["revision"] == "0123456789ab" and entry["seconds"] == 9 and entry["machine"]
    assert entry["command"] == f"snakemake results/{CELL}/metrics.json --cores all --configfile {PRESET}"


def test_paths_of_the_machine_stay_behind(run: Path) -> None:
    assert collect(run) == 0
    text = (run.parent / "study/data/shapes/dataset.json").read_text()
    assert "/home/me" not in text and '"shapes.tar.gz"' in text


def test_collecting_again_changes_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    collect(run)
    before = {path: path.stat().st_mtime_ns for path in (run.parent / "study" / CELL).iterdir()}
    capsys.readouterr()
    assert collect(run) == 0
    assert f"{CELL}: is there already" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (run.parent / "study" / CELL).iterdir()} == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda metrics: metrics["provenance"].update(revision=None), "not a checkout of git"),
        (lambda metrics: metrics["provenance"].update(revision="0123+changes"), "were not committed"),
        (lambda metrics: metrics["provenance"]["recipe"].update(epochs=3), "epochs 3 instead of 2"),
        (
            lambda metrics: metrics["provenance"]["recipe"]["architecture"]["options"].update(dropout=0.3),
            "architecture.options.dropout 0.3 instead of",
        ),
        (lambda metrics: metrics["provenance"]["data"].update(digest="b" * 16), "are others now"),
        (lambda metrics: metrics["provenance"]["data"].update(name="cifar10"), "of the data set cifar10"),
    ],
)
def test_what_is_not_of_a_commit_and_the_preset_is_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: Change, words: str
) -> None:
    rerun(run, monkeypatch, change)
    assert collect(run) == 1
    error = capsys.readouterr().err
    assert f"error: {CELL}: " in error and words in error
    assert not (run.parent / "study").exists()


def test_damaged_and_unfinished_results_are_not_collected(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (run / "results" / CELL / "history.csv").write_text("epoch\n")
    assert collect(run) == 1
    assert "history.csv is not as its job wrote it" in capsys.readouterr().err
    (run / "results/records/jobs" / CELL / "model.safetensors.json").unlink()  # as while it is trained again
    assert collect(run) == 1
    assert "no finished result yet" in capsys.readouterr().err


def test_another_result_is_overwritten_only_on_demand(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(run)
    rerun(run, monkeypatch, lambda metrics: metrics.update(test_top1_error=39.0))
    assert collect(run) == 1
    assert "has another one, of revision 0123456789ab; --replace overwrites it" in capsys.readouterr().err
    kept = run.parent / "study" / CELL / "metrics.json"
    assert json.loads(kept.read_text())["test_top1_error"] == 40.0
    assert collect(run, "--replace") == 0
    assert json.loads(kept.read_text())["test_top1_error"] == 39.0


def test_some_results_are_chosen_by_name(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert collect(run, "--only", "grid/resnet18") == 1
    assert "no finished result of grid/resnet18 yet" in capsys.readouterr().err
    assert collect(run, "--only", "grid/vit-cutmix") == 0


def test_results_of_a_scene_have_no_data_set(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    views = Path("results/scenes/orbit/views.json")
    (run / views).parent.mkdir(parents=True)
    facts = {"revision": "0123456789ab", "data": "d" * 16}
    recipe = CONFIG["reconstruction"]["views"]
    write_json(run / views, {"psnr": 27.0, "provenance": provenance(recipe=recipe, wall_seconds=9) | facts})
    monkeypatch.chdir(run)
    write_record([str(views)])
    monkeypatch.chdir(ROOT)
    assert collect(run) == 0
    assert "scenes/orbit/views.json" in files(run.parent / "study")


def test_a_folder_without_results_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(tmp_path) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_knobs_that_a_version_did_not_have_yet_count_by_their_default() -> None:
    config = study_config([ROOT / "presets/cpu.yaml"])
    recipe = cell_recipe(config, "vit", "mixup")
    older = {knob: value for knob, value in recipe.items() if knob not in ("class_weights", "warmup_peak")}
    older["augmentation"] = {"method": "mixup", "alpha": 0.4, "probability": 1.0}
    older["validation"] = 5000
    older["architecture"] = {**recipe["architecture"]}
    older["architecture"]["options"] = {**recipe["architecture"]["options"], "patch": 4}
    assert recipe_differences(config, "grid/vit-mixup/seed0", older, 50_000) == []
    del older["ema"]  # its default is another value than the preset's
    assert recipe_differences(config, "grid/vit-mixup/seed0", older, 50_000) != []
