"""What is said of a run beside the published one: data set, networks, epochs and recipes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from changed_config import ROOT, checked
from report_results import CIFAR100, grid_of

from triptych.config.cells import cell_recipe, encoder_architecture
from triptych.config.grid import Recipe
from triptych.report.comparison import Comparison, compare, grid_differences
from triptych.report.part1_results import SelfSupervision
from triptych.report.published import published_curve, published_epochs, published_value
from triptych.report.results import Result


def test_the_same_data_set_with_another_recipe_says_what_differs() -> None:
    few = {"name": "cifar100", "counts": {"train": 10_000, "test": 10_000}}
    runs = {"resnet18-baseline": 2, "resnet18-mixup": 2, "vit-baseline": 2}
    models = {("resnet18",): {"width": 16}, ("vit",): {"dim": 512}, ("mixer",): {"dim": 8}}
    comparison = compare("grid", few, epochs=runs, models=models)
    assert comparison.likeness == "similar"
    assert comparison.differences == (
        "10,000 training images instead of 50,000",
        "resnet18 with width 16 instead of 64",
        "2 epochs instead of 100",
        "2 epochs instead of 200 (vit-baseline)",
    )
    alike = compare("grid", CIFAR100, epochs={"vit-baseline": 200}, models={("vit",): {"depth": 6}})
    assert alike.likeness == "alike"


def comparison_of(
    config: dict[str, Any], architectures: Sequence[str] = ("resnet18", "vit"), epochs: int = 100
) -> Comparison:
    """The comparison of a grid that was run with these recipes; the ViT's baseline took 200 epochs."""
    cells = {}
    for architecture in architectures:
        for augmentation in config["grid"]["augmentations"]:
            name = f"{architecture}-{augmentation}"
            provenance = {"recipe": cell_recipe(config, architecture, augmentation), "seed": 0}
            facts = {"epochs": 200 if name == "vit-baseline" else epochs}
            file = Path(f"results/grid/{name}/seed0/metrics.json")
            cells[architecture, augmentation] = [Result(file, facts, provenance)]
    return grid_of(cells).comparison


@pytest.fixture
def config() -> dict[str, Any]:
    """That of presets/report.yaml."""
    return checked(**yaml.safe_load((ROOT / "presets/report.yaml").read_text()))


def test_the_published_recipes_are_alike_and_a_better_one_is_not_called_so(config: dict[str, Any]) -> None:
    found = comparison_of(config)
    assert found.likeness == "alike"
    assert "Not repeated: validation images are not augmented; " in found.verdict
    config["grid"] |= {"recipe": "modern", "cells": {}}
    assert comparison_of(config).differences == (
        "resnet18 trained with another schedule, nesterov, label smoothing, ema, decay biases",
        "vit trained with another optimizer, learning rate, weight decay, schedule epochs, warmup epochs, "
        "dropout, label smoothing, ema, stochastic depth, clip norm, decay biases",
    )


def test_what_differs_in_one_cell_or_one_column_is_said_of_it(config: dict[str, Any]) -> None:
    config["grid"]["cells"]["vit-baseline"] |= {"optimizer": "adamw", "ema": 0.999}
    config["augmentations"]["mixup"]["alpha"] = 1.0
    config["augmentations"]["cutout"]["size"] = 16
    config["augmentations"]["cutmix"] |= {"probability": 0.1, "per_batch": False}
    config["grid"]["base_augmentation"]["degrees"] = 0
    assert comparison_of(config).differences == (
        "vit-baseline trained with another optimizer, ema",
        "images with another degrees",
        "mixup with another alpha",
        "cutout with another size",
        "cutmix with another probability, per batch",
    )


def test_other_batches_steps_and_validation_images_are_differences(config: dict[str, Any]) -> None:
    recipe = config["architectures"]["resnet18"]["recipes"]["report"]
    recipe |= {"batch_size": 512, "warmup_epochs": 0, "momentum": 0.5}
    config["architectures"]["vit"]["recipes"]["report"] |= {"weight_decay": 0.05, "schedule_epochs": 100}
    config["grid"]["validation"] = 1000
    assert comparison_of(config).differences == (
        "resnet18 trained with another momentum, warmup epochs, batch size, validation",
        "vit trained with another weight decay, schedule epochs, validation",
    )


def test_a_stronger_policy_or_another_network_under_a_published_name_is_a_difference(
    config: dict[str, Any],
) -> None:
    config["augmentations"]["baseline"]["rand_augment"] = {"operations": 2, "magnitude": 9}
    config["architectures"]["vit"]["module"] = "mynet"
    recipe = config["architectures"]["resnet18"]["recipes"]["report"]
    recipe |= {"decay_biases": False, "min_lr_ratio": 0.5}
    assert comparison_of(config).differences == (
        "another network for vit",
        "resnet18 trained with another decay biases, min lr ratio",
        "baseline with another rand augment",
    )


def test_a_grid_without_the_reports_networks_is_not_called_alike(config: dict[str, Any]) -> None:
    config["architectures"]["vit_384"]["recipes"]["report"] |= {"epochs": 100}
    assert comparison_of(config, ["vit_384"]).differences == ("none of the report's networks",)
    assert comparison_of(config, ["resnet18", "vit_384"]).likeness == "alike"


def self_supervision_of(config: dict[str, Any]) -> Comparison:
    """What is said of trainings with the config's recipes and the published epochs."""

    def result(recipe: dict[str, Any]) -> Result:
        return Result(Path("metrics.json"), {}, {"recipe": recipe})

    learning = config["self_supervision"]
    mixing = config["augmentations"].get(learning["supervised"]["augmentation"], {"method": "none"})
    network = {"architecture": encoder_architecture(config), "augmentation": mixing}
    study = SelfSupervision(
        dataset=Result(Path("dataset.json"), {**CIFAR100, "name": "cifar10"}, {}),
        methods={
            "simclr_linear_probe": [result(learning["probe"])],
            "supervised_resnet18": [result({**learning["supervised"], **network})],
        },
        pretraining=[result(learning["simclr"])],
        epochs={"simclr": 100, "supervised": 100},
    )
    return study.comparison


def test_part_one_is_alike_only_with_the_published_recipes(config: dict[str, Any]) -> None:
    learning = config["self_supervision"]
    found = self_supervision_of(config)
    assert found.likeness == "alike" and "Not repeated: the epoch is chosen" in found.verdict
    learning["probe"]["protocol"] = "features"
    learning["simclr"]["batch_norm_per_view"] = False
    found = self_supervision_of(config)
    assert "SGD on cropped and mirrored" in found.verdict
    assert found.differences[0] == "SimCLR with another batch norm per view"
    learning["probe"]["protocol"] = "report"
    learning["simclr"]["batch_norm_per_view"] = True
    learning["simclr"] |= {"temperature": 0.2, "optimizer": "muon"}
    learning["simclr"]["views"]["count"] = 4
    learning["supervised"] |= {"augmentation": "cutout", "ema": 0.998}
    learning["probe"]["learning_rate"] = 0.1
    assert self_supervision_of(config).differences == (
        "SimCLR with another temperature, optimizer",
        "supervised training with another ema",
        "views with another count",
        "supervised images with another method",
        "the probe with another learning rate",
    )


def test_published_facts_are_those_of_the_report() -> None:
    assert published_value("self_supervision", "simclr_linear_probe", "test_top1_accuracy") == 81.05
    assert published_value("grid", "mixer-baseline", "test_top1_error") is None
    curve = published_curve("resnet18-baseline", "valid_top1_error")
    assert curve is not None
    assert (curve["epoch"].iloc[0], curve["epoch"].iloc[-1], curve["value"].iloc[-1]) == (2, 100, 28.66)
    assert (published_epochs("vit-baseline"), published_epochs("vit-mixup")) == (200, 100)
    assert published_epochs("mixer-baseline") is None


# Knobs that change no number, or none of SGD with steps; epochs are compared on their own.
NOT_COMPARED = {
    *("device", "precision", "compile", "gpus", "options"),
    *("adam_learning_rate", "schedule_epochs", "epochs"),
}


@pytest.mark.parametrize("knob", sorted(set(Recipe.model_fields) - NOT_COMPARED))
def test_every_knob_that_decides_a_result_is_compared(config: dict[str, Any], knob: str) -> None:
    recipe = cell_recipe(config, "resnet18", "mixup")
    assert grid_differences({("resnet18", "mixup"): recipe}) == []
    assert grid_differences({("resnet18", "mixup"): {**recipe, knob: "another"}}) == [
        f"resnet18 trained with another {knob.replace('_', ' ')}"
    ]
