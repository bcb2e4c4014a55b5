"""Overfitting: losses by architecture and augmentation, errors by share of the images, and what they say."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from report_results import CIFAR100, grid_of, runs

from triptych.config.cells import cell_recipe, subset_recipe
from triptych.data.splits import stratified_subset
from triptych.report.part2_grid import read_grid
from triptych.report.part2_overfitting import (
    Overfitting,
    overfitting_answer,
    overfitting_figure,
    read_overfitting,
)
from triptych.study.recipes import study_config
from triptych.workflow.files import write_json

PRESETS = [Path(__file__).parents[2] / "presets" / name for name in ("cpu.yaml", "overfitting.yaml")]


def found(resnet18: list[float], vit: list[float], column: str = "clean_train_loss") -> Overfitting:
    """Baselines with these train losses at the end, by seed."""
    grid = grid_of({"resnet18-baseline": [25.0] * len(resnet18), "vit-baseline": [50.0] * len(vit)})
    losses = {("resnet18", "baseline"): resnet18, ("vit", "baseline"): vit}
    histories = {
        cell: [
            pd.DataFrame({"epoch": [1, 2], "train_loss": 3.0, "validation_loss": 2.0, column: [4.0, loss]})
            for loss in seeds
        ]
        for cell, seeds in losses.items()
    }
    return Overfitting(grid, histories)


@pytest.mark.parametrize(
    ("resnet18", "vit", "verdict"),
    [
        ([0.50, 0.51, 0.52], [0.10, 0.11, 0.13], "confirmed"),  # the ViT fits the training images better
        ([0.50, 0.51, 0.52], [1.50, 1.51, 1.53], "refuted"),  # it is worse on these already
        ([0.50, 0.51, 0.52], [0.45, 0.55, 0.53], "undecided at this number of seeds (3)"),
        ([0.50], [1.50], "undecided at this number of seeds (1)"),
    ],
)
def test_overfitting_explains_the_vit_only_if_it_fits_the_training_images_as_well(
    resnet18: list[float], vit: list[float], verdict: str
) -> None:
    answer = overfitting_answer(found(resnet18, vit))
    assert answer.verdict == verdict
    assert "loss on training images as they are" in answer.text


def test_histories_without_the_clean_loss_are_called_augmented() -> None:
    assert "loss on augmented training images" in overfitting_answer(found([1.0], [2.0], "train_loss")).text


def test_a_run_that_diverged_at_once_decides_nothing_and_is_drawn_all_the_same() -> None:
    diverged = found([0.50, 0.51, 0.52], [math.nan] * 3)
    diverged.histories["vit", "baseline"][0]["clean_train_loss"] = math.nan
    answer = overfitting_answer(diverged)
    assert answer.verdict.startswith("undecided") and "nan (ViT)" in answer.text
    assert len(overfitting_figure(diverged).axes) == 2


def test_without_both_baselines_there_is_no_verdict() -> None:
    assert overfitting_answer(None).verdict == "not run"


def test_errors_by_share_are_read_drawn_and_told(tmp_path: Path) -> None:
    write_json(tmp_path / "data/cifar100/dataset.json", {**CIFAR100, "provenance": {}})
    counts = {"train": 5_000, "test": 10_000}
    write_json(tmp_path / "data/small/dataset.json", {**CIFAR100, "counts": counts, "provenance": {}})
    for row, error in (("resnet18", 25.0), ("vit", 50.0)):
        for folder, value in ((f"grid/{row}-baseline", error), (f"subsets/small/{row}", error + 20)):
            (result,) = runs(f"{row}-baseline", value)
            path = tmp_path / folder / "seed0/metrics.json"
            write_json(path, {**result.values, "provenance": result.provenance})
            path.with_name("history.csv").write_text("epoch,train_loss,validation_loss\n1,3,3\n2,2,2.5\n")
    grid = read_grid(
        dataset=tmp_path / "data/cifar100/dataset.json",
        metrics=sorted(tmp_path.glob("grid/*/seed0/metrics.json")),
        architectures={"resnet18": "ResNet18", "vit": "ViT"},
        augmentations={"baseline": "Baseline"},
    )
    subsets = sorted(tmp_path.glob("subsets/*/*/seed0/metrics.json"))
    read = read_overfitting(grid, subsets, [tmp_path / "data/small/dataset.json"])
    assert list(read.shares["vit"]) == [10.0, 100.0]
    assert "ViT, test error by share of images: 70.0 % with 10 %, 50.0 % with 100 %." in (
        overfitting_answer(read).text
    )
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in overfitting_figure(read).axes]
    assert titles == ["ResNet18: loss (nats)", "ViT: loss (nats)", "Baselines: test top-1 error (%)"]
    assert len(overfitting_figure(read_overfitting(grid)).axes) == 2


@pytest.mark.parametrize(("name", "factor"), [("cifar100_10", 10), ("cifar100_25", 4), ("cifar100_50", 2)])
def test_a_part_of_the_images_is_trained_for_as_many_steps(name: str, factor: int) -> None:
    config = study_config(PRESETS)
    whole, part = cell_recipe(config, "vit", "baseline"), subset_recipe(config, name, "vit")
    assert config["datasets"][name]["train_size"] * factor == 50_000
    changed = {knob for knob in whole if whole[knob] != part[knob]}
    assert changed == {"epochs", "warmup_epochs"}
    assert all(part[knob] == factor * whole[knob] for knob in changed)


def test_the_parts_are_balanced_and_lie_in_one_another() -> None:
    labels = np.random.default_rng(0).permutation(np.arange(50_000) % 100)
    parts = [stratified_subset(labels, size, seed=0) for size in (5_000, 12_500, 25_000)]
    for part, larger in zip(parts, [*parts[1:], np.arange(50_000)], strict=True):
        assert set(part) <= set(larger)
        assert set(np.bincount(labels[part])) == {len(part) // 100}
