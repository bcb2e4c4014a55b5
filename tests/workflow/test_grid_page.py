"""docs/grid.md does what it says: its files and its config, through the real DAG, on tiny data."""

import csv
import json
import re

import pytest
import yaml
from conftest import ROOT, Study, copy_project

pytestmark = pytest.mark.slow

PAGE = (ROOT / "docs/grid.md").read_text()
CELLS = {f"{row}-{column}" for row in ("vit", "mynet") for column in ("baseline", "stripes")}


def block(start: str) -> str:
    """The first code block after a text of the page."""
    found = re.search(r"```\w+\n(.*?)```", PAGE[PAGE.index(start) :], flags=re.DOTALL)
    assert found is not None
    return found[1]


def cells(*names: str) -> set[str]:
    return {f"Grid: {name.replace('-', ' with ')}, seed 0" for name in names}


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A checkout with the page's files and entries, on fewer cells and epochs, in which the grid has run."""
    folder = tmp_path_factory.mktemp("grid")
    copy_project(folder)
    for name in ("mynet", "stripes"):
        (folder / f"src/{name}.py").write_text(block(f"`src/{name}.py`:"))
    study = Study(folder)
    mine = yaml.safe_load(block("in `mine.yaml`:"))
    assert mine["grid"]["architectures"][-1] == "mynet" and mine["grid"]["augmentations"][-1] == "stripes"
    study.configure(**mine)
    small = {"epochs": 1, "warmup_epochs": 0, "batch_size": 64}
    study.configure(
        parts=["grid"],
        datasets={"shapes": {"train": 200, "test": 50}},
        architectures={name: {"recipes": {"modern": small}} for name in ("vit", "mynet")},
        grid={"seeds": [0], "architectures": ["vit", "mynet"], "augmentations": ["baseline", "stripes"]},
    )
    study.run()
    return study


def test_new_rows_and_columns_are_in_every_table_figure_and_on_the_page(extended: Study) -> None:
    results = extended.folder / "results"
    for table in ("top1", "top5", "cost"):
        with (results / f"tables/grid_{table}.csv").open() as stream:
            found = {f"{row['architecture']}-{row['augmentation']}" for row in csv.DictReader(stream)}
        assert found == CELLS
    assert "Stripes" in (results / "tables/grid_differences.md").read_text()
    shown = {"grid": ("My net", "Stripes"), "grid_mynet": ("Stripes",), "augmentations": ("Stripes",)}
    for figure, titles in {**shown, "confusion": ("My net",), "attention_vit": ("Stripes",)}.items():
        drawn = (results / f"figures/{figure}.svg").read_text()
        assert all(title in drawn for title in titles), figure
    page = (results / "report/index.html").read_text()
    assert "My net" in page and "Stripes" in page


def test_the_cells_were_trained_as_the_page_configures_them(extended: Study) -> None:
    metrics = extended.folder / "results/grid/mynet-stripes/seed0/metrics.json"
    recipe = json.loads(metrics.read_text())["provenance"]["recipe"]
    assert recipe["architecture"] == {"module": "mynet", "options": {"width": 32}}
    assert recipe["augmentation"] == {"module": "stripes", "options": {"share": 0.25}}
    stated = yaml.safe_load(block("in `mine.yaml`:"))["architectures"]["mynet"]["recipes"]["modern"]
    unchanged = {name: value for name, value in stated.items() if name != "epochs"}
    assert unchanged and recipe.items() >= unchanged.items()


@pytest.mark.parametrize(
    ("file", "stale"),
    [("stripes", {"vit-stripes", "mynet-stripes"}), ("mynet", {"mynet-baseline", "mynet-stripes"})],
)
def test_editing_a_users_file_reruns_its_cells_and_no_others(
    extended: Study, file: str, stale: set[str]
) -> None:
    assert extended.plan() == set()
    path = extended.folder / f"src/{file}.py"
    kept = path.read_bytes()
    path.write_bytes(kept + b"\nEDITED = 1\n")
    try:
        plan = extended.plan()
    finally:
        path.write_bytes(kept)
    assert {job for job in plan if job.startswith("Grid: ")} == cells(*stale)
    assert "Report: results/report/index.html" in plan


def test_one_cells_recipe_as_on_the_page_reruns_that_cell_alone(extended: Study) -> None:
    kept = extended.preset.read_bytes()
    changes = yaml.safe_load(block("is changed under `grid.cells`"))["grid"]["cells"]["vit-mixup"]
    extended.configure(grid={"cells": {"vit-stripes": changes}})
    try:
        plan = extended.plan()
    finally:
        extended.preset.write_bytes(kept)
    assert {job for job in plan if job.startswith("Grid: ")} == cells("vit-stripes")


def test_the_pages_other_settings_are_valid(extended: Study) -> None:
    kept = extended.preset.read_bytes()
    try:
        extended.configure(**yaml.safe_load(block("With four GPUs and 16 cores")))
        assert extended.plan("--resources", "gpu=4") == set()  # what is there is not trained again
        extended.configure(**yaml.safe_load(block("`strong` is one that is defined already:")))
        plan = extended.plan()
    finally:
        extended.preset.write_bytes(kept)
    assert {job for job in plan if job.startswith("Grid: ")} == cells(
        *(f"{row}-{column}" for row in ("vit", "mynet") for column in ("mixup", "cutout", "cutmix", "strong"))
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"architectures": {"mynet": {"module": "elsewhere"}}},
            "config: architectures.mynet: there is no module 'elsewhere' under src/; put its file there",
        ),
        (
            {"augmentations": {"stripes": {"module": "elsewhere"}}},
            "config: augmentations.stripes: there is no module 'elsewhere' under src/; put its file there",
        ),
        (
            {"grid": {"recipe": "report"}},
            "grid.recipe is 'report', but architectures.mynet.recipes has no such family; it has: modern",
        ),
    ],
)
def test_a_mistake_is_one_clear_line(extended: Study, changes: dict[str, object], expected: str) -> None:
    kept = extended.preset.read_bytes()
    extended.configure(**changes)
    try:
        done = extended.snakemake("--dry-run")
    finally:
        extended.preset.write_bytes(kept)
    assert done.returncode != 0
    assert expected in done.stdout + done.stderr and "Traceback" not in done.stdout + done.stderr


def test_a_cell_that_is_left_out_is_not_trained_and_the_rest_is_tabulated_and_drawn(extended: Study) -> None:
    kept = extended.preset.read_bytes()
    settings = yaml.safe_load(block("A cell that is too heavy for your machine"))
    assert settings["grid"]["leave_out"] == ["vit-cutmix"]
    extended.configure(grid={"leave_out": ["vit-stripes"]})
    try:
        plan = extended.plan()
        extended.run()
    finally:
        extended.preset.write_bytes(kept)
    assert not [job for job in plan if job.startswith("Grid: ")]
    assert "Figure: curves of vit" in plan and "Figure: curves of mynet" not in plan
    results = extended.folder / "results"
    top1 = (results / "tables/grid_top1.md").read_text()
    (row,) = (line for line in top1.splitlines() if line.startswith("| ViT |"))
    assert row.endswith("| not run |")
    assert "not run" in (results / "figures/grid.svg").read_text()
    assert "Stripes" not in (results / "figures/grid_vit.svg").read_text()
