"""What the DAG promises, checked with the real Snakemake."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Study

PAGE = "Report: results/report/index.html"
CHECK = "Checking that all parts fit the images of shapes"
VIT_REPORT = {
    "Tables: architecture x augmentation",
    "Figure: curves of vit",
    "Figure: all cells and confusion matrices",
    "Figure: overfitting",
    "Attention rollout of vit",
    "Figure: attention of vit",
    PAGE,
}


def cells(*names: str) -> set[str]:
    return {f"Grid: {name}, seed {seed}" for name in names for seed in (0, 1)}


ALL_CELLS = cells("resnet18 with baseline", "resnet18 with cutmix", "vit with baseline", "vit with cutmix")


def test_a_fresh_checkout_can_be_planned_without_data_or_network(checkout: Study) -> None:
    study = Study(checkout.folder)
    study.preset = study.folder / "config.yaml"
    plan = study.plan()
    assert "Downloading cifar-10-python.tar.gz" in plan
    assert "Grid: vit with cutmix, seed 2" in plan


def test_one_command_builds_every_target(finished: Study) -> None:
    output = finished.run("--summary")
    missing = [line for line in output.splitlines() if "\tmissing\t" in line]
    assert not missing
    for name in ("report/index.html", "tables/grid_top1.csv", "scenes/orbit/flythrough.mp4"):
        assert (finished.folder / "results" / name).stat().st_size > 0


def test_a_second_run_has_nothing_to_do(finished: Study) -> None:
    assert "Nothing to be done" in finished.run()


def test_a_touched_source_reruns_nothing(study: Study) -> None:
    for path in study.folder.glob("src/**/*.py"):
        os.utime(path)
    assert study.plan() == set()


def test_changing_one_cell_reruns_that_cell_and_what_shows_it(study: Study) -> None:
    study.configure(grid={"cells": {"vit-cutmix": {"epochs": 3}}})
    assert study.plan() == cells("vit with cutmix") | VIT_REPORT


def test_changing_one_architecture_reruns_its_row(study: Study) -> None:
    study.configure(architectures={"vit": {"recipes": {"modern": {"learning_rate": 0.002}}}})
    assert study.plan() == cells("vit with baseline", "vit with cutmix") | VIT_REPORT


def test_changing_a_recipe_family_that_is_not_chosen_reruns_nothing(study: Study) -> None:
    study.configure(architectures={"vit": {"recipes": {"report": {"learning_rate": 0.002}}}})
    assert study.plan() == set()


def test_adding_an_entry_that_no_cell_uses_reruns_nothing(study: Study) -> None:
    study.configure(augmentations={"stronger": {"method": "mixup", "rand_augment": {"operations": 1}}})
    assert study.plan() == set()


def test_another_title_is_printed_and_nothing_is_computed_for_it(study: Study) -> None:
    study.configure(augmentations={"cutmix": {"title": "Cut and mixed"}})
    plan = study.plan()
    assert PAGE in plan and "Figure: gallery of the augmentations" in plan
    assert plan - {PAGE} == {job for job in plan if job.startswith(("Tables:", "Figure:"))}


def test_asking_an_encoder_otherwise_neither_trains_nor_encodes_again(study: Study) -> None:
    study.configure(self_supervision={"knn": {"k": 7}})
    neighbours = {f"Nearest neighbours by the {name} encoder, seed 0" for name in ("simclr", "random")}
    assert study.plan() == neighbours | {CHECK, "Table: self-supervision", PAGE}


def test_the_probes_own_recipe_matters_to_the_protocol_that_reads_it(study: Study) -> None:
    study.configure(self_supervision={"probe": {"learning_rate": 0.1}})
    assert study.plan() == set()
    study.configure(self_supervision={"probe": {"protocol": "report"}})
    probes = {f"Linear evaluation of the {name} encoder, seed 0" for name in ("simclr", "random")}
    assert study.plan() == probes | {CHECK, "Table: self-supervision", "Figures: self-supervision", PAGE}


def test_supervised_training_may_borrow_a_column_of_the_grid(study: Study) -> None:
    study.configure(self_supervision={"supervised": {"augmentation": "cutmix"}})
    report = {"Table: self-supervision", "Figures: self-supervision", PAGE}
    assert study.plan() == {"Supervised ResNet18, seed 0"} | report


def test_the_order_of_keys_does_not_matter(study: Study) -> None:
    config = yaml.safe_load(study.preset.read_text())
    text = yaml.safe_dump(dict(reversed(config.items())), sort_keys=False)
    assert text != study.preset.read_text()
    study.preset.write_text(text)
    assert study.plan() == set()


def test_adding_a_seed_runs_that_seed_only(study: Study) -> None:
    study.configure(grid={"seeds": [0, 1, 2]})
    new = {job for job in study.plan() if job.startswith("Grid:")}
    assert new == {name.replace("seed 0", "seed 2") for name in ALL_CELLS if "seed 0" in name}


def test_sizes_are_checked_again_when_they_change_and_nothing_is_trained_again_by_that(study: Study) -> None:
    study.configure(self_supervision={"feature_map": {"perplexity": 10}})
    assert CHECK in study.plan()
    assert not any(job.startswith(("Grid:", "SimCLR", "Supervised")) for job in study.plan())


def test_a_knob_that_changes_no_result_reruns_nothing(study: Study) -> None:
    study.configure(compute={"threads": 1, "cell_threads": 2, "checkpoint_minutes": 1})
    assert study.plan() == set()


def edit(study: Study, module: str, line: str = "EDITED = 1") -> None:
    path = study.folder / "src/triptych" / module
    path.write_text(f"{path.read_text()}\n{line}\n")


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("models/vit.py", "# edited"),
        ("training/loop.py", 'log.info("edited")'),
        ("workflow/progress.py", "EDITED = 1"),
        ("workflow/job.py", "EDITED = 1"),
        ("kernels/conv/layer.py", "EDITED = 1"),
        ("kernels/registry.py", "EDITED = 1"),
    ],
)
def test_editing_comments_log_lines_progress_bars_and_kernels_reruns_nothing(
    study: Study, module: str, line: str
) -> None:
    edit(study, module, line)
    assert study.plan() == set()


def test_editing_the_report_reruns_the_report_only(study: Study) -> None:
    edit(study, "report/page.py")
    assert study.plan() == {PAGE}


def test_editing_the_resnet_makes_no_cell_of_the_vit_stale(study: Study) -> None:
    edit(study, "models/resnet.py")
    plan = study.plan()
    assert {job for job in plan if job.startswith("Grid:")} == {
        cell for cell in ALL_CELLS if cell.startswith("Grid: resnet18")
    }
    assert "SimCLR: pretraining without labels, seed 0" in plan


def test_editing_the_contrastive_loss_reruns_simclr_and_no_cell(study: Study) -> None:
    edit(study, "ssl/nt_xent.py")
    plan = study.plan()
    assert "SimCLR: pretraining without labels, seed 0" in plan
    assert "Linear evaluation of the simclr encoder, seed 0" in plan
    assert not any(job.startswith(("Grid:", "Supervised")) for job in plan)


def test_editing_an_architecture_reruns_its_cells_only(study: Study) -> None:
    edit(study, "models/vit.py")
    plan = study.plan()
    assert {job for job in plan if job.startswith("Grid:")} == cells("vit with baseline", "vit with cutmix")
    assert not any("SimCLR" in job for job in plan)


def test_editing_a_policy_that_no_column_has_reruns_nothing(study: Study) -> None:
    edit(study, "augment/rand_augment.py")
    assert study.plan() == set()


def test_editing_the_radiance_field_reruns_no_training_of_the_other_parts(study: Study) -> None:
    edit(study, "radiance/hash_grid.py")
    plan = study.plan()
    assert PAGE in plan
    assert not any(job.startswith(("Grid:", "SimCLR", "Finding the cameras")) for job in plan)


def tracked(study: Study, target: str) -> subprocess.CompletedProcess[str]:
    """`make tracked TARGET=...`."""
    command = [sys.executable, "-m", "triptych.workflow.list_tracked", target, "--configfile", study.preset]
    environment = {**os.environ, "PYTHONPATH": str(study.folder / "src")}
    return subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True)


def test_the_files_whose_edits_make_a_result_stale_are_listed(study: Study) -> None:
    files = tracked(study, "results/grid/vit-cutmix/seed0/metrics.json").stdout.splitlines()
    assert {"src/triptych/models/vit.py", "workflow/scripts/train_classifier.py"} <= set(files)
    assert not {"src/triptych/models/resnet.py", "src/triptych/workflow/progress.py"} & set(files)
    assert all((study.folder / file).is_file() for file in files)
    assert "results/none.json: no rule makes it" in tracked(study, "results/none.json").stderr


@pytest.mark.parametrize(
    ("file", "job"),
    [
        ("results/grid/vit-baseline/seed0/model.safetensors", "Grid: vit with baseline, seed 0"),
        ("results/grid/resnet18-cutmix/seed1/metrics.json", "Grid: resnet18 with cutmix, seed 1"),
        ("results/simclr/seed0/encoder.safetensors", "SimCLR: pretraining without labels, seed 0"),
        ("results/features/simclr/seed0/train.safetensors", "Features of the simclr encoder, seed 0"),
        ("results/figures/grid_vit.svg", "Figure: curves of vit"),
        ("results/scenes/orbit/transforms.json", "Scene frame of orbit: upright and centred"),
        ("results/data/shapes/train_images.npy", "Drawing shapes"),
        ("results/data/shapes/checked.json", CHECK),
    ],
)
def test_a_deleted_file_is_rebuilt(study: Study, file: str, job: str) -> None:
    path = study.folder / file
    aside = path.with_suffix(".aside")
    path.rename(aside)
    try:
        assert job in study.plan()
    finally:
        aside.rename(path)
    assert study.plan() == set()


def table_row(study: Study, name: str) -> dict[str, str]:
    with (study.folder / "results/tables/grid_top1.csv").open() as stream:
        return next(
            row for row in csv.DictReader(stream) if f"{row['architecture']}-{row['augmentation']}" == name
        )


def test_config_changed_training_failed_run_again_never_leaves_a_stale_table(study: Study) -> None:
    """The failed job's output is gone, and a missing intermediate alone would not rerun the table."""
    before = table_row(study, "vit-baseline")
    study.configure(grid={"cells": {"vit-baseline": {"learning_rate": 1.0e30}}})
    failed = study.snakemake()
    assert failed.returncode != 0
    words = [line for line in failed.stderr.splitlines() if line.startswith("triptych: error:")]
    assert words and all("the loss is" in line and "lower learning_rate" in line for line in words)
    assert not (study.folder / "results/grid/vit-baseline/seed0/metrics.json").exists()

    study.configure(grid={"cells": {"vit-baseline": {"learning_rate": 0.01, "epochs": 1}}})
    assert cells("vit with baseline") | VIT_REPORT <= study.plan()
    study.run()
    after = table_row(study, "vit-baseline")
    metrics = (study.folder / "results/grid/vit-baseline/seed0/metrics.json").read_text()
    assert '"learning_rate": 0.01' in metrics
    assert after != before

    study.preset.write_bytes((Path(__file__).parents[2] / "presets/test.yaml").read_bytes())
    study.run()
    assert table_row(study, "vit-baseline") == before
    assert study.plan() == set()


def test_attention_that_cannot_be_drawn_is_told_before_its_network_is_trained(study: Study) -> None:
    study.configure(architectures={"resnet18": {"attention": True}}, grid={"seeds": [2]})
    failed = study.snakemake("results/grid/resnet18-baseline/seed2/metrics.json")
    assert failed.returncode != 0
    assert "config: architectures.resnet18: no attention rollout: " in failed.stderr
    assert "epoch=" not in failed.stdout + failed.stderr


def test_whether_attention_is_drawn_trains_nothing(study: Study) -> None:
    study.configure(architectures={"resnet18": {"attention": True}})
    assert "Attention rollout of resnet18" in study.plan()
    assert not any(job.startswith("Grid:") for job in study.plan())


def test_bad_config_is_one_clear_line_and_exit_code_not_zero(study: Study) -> None:
    study.configure(self_supervision={"simclr": {"epoch": 3}})
    done = study.snakemake("--dry-run")
    assert done.returncode != 0
    assert "unknown key 'epoch' in self_supervision.simclr; did you mean 'epochs'?" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_missing_data_folder_is_one_clear_line(study: Study) -> None:
    study.configure(datasets={"mine": {"source": "folder", "path": "/nowhere"}}, grid={"dataset": "mine"})
    done = study.snakemake("--dry-run")
    assert done.returncode != 0
    assert "config: datasets.mine: /nowhere does not exist; correct `path`" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
