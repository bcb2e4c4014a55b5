"""The settings that must fit the data, and the memory that trainings are expected to need."""

from collections.abc import Iterable, Mapping
from typing import Any

from triptych.config.cells import cell_name, cell_recipe, encoder_architecture, grid_cells, simclr_recipe

Config = Mapping[str, Any]

BATCH = ("batch_size", "accumulate", "gpus", "device", "precision")
BASE_MB = 2500  # of a process
IMAGE_MB = 8  # of an image of 32 x 32 pixels in a training step on a CPU, as measured
SMALL = 64  # pixels: larger images have stems and patches with which 112 x 112 pixels take as much as 32 x 32


def training_mb(recipe: Mapping[str, Any], side: int, views: int = 1) -> int:
    """Megabytes of memory to reserve for a training on images of `side` pixels, each seen in `views` views.

    Measured with ResNet18 and ViT in float32: 7 MB an image of 32 pixels, 30 MB one of 224.
    """
    image = IMAGE_MB * (side / (32 if side <= SMALL else 112)) ** 2
    return round(BASE_MB * recipe["gpus"] + image * views * recipe["batch_size"] / recipe["accumulate"])


def sizes_of(config: Config, dataset: str) -> dict[str, Any]:
    """The settings of all parts that use a data set and that must fit it: see `triptych.checks.sizes`."""
    sizes: dict[str, Any] = {}
    learning, grid = config["self_supervision"], config["grid"]
    if "self_supervision" in config["parts"] and learning["dataset"] == dataset:
        sizes["self_supervision"] = {
            "architecture": {"name": learning["architecture"], **encoder_architecture(config)},
            "simclr": {
                **_only(simclr_recipe(config), *BATCH, "progressive_resizing"),
                "views": {"count": learning["simclr"]["views"]["count"]},
            },
            "probe": _only(learning["probe"], *BATCH, "protocol", "validation"),
            "supervised": _only(learning["supervised"], *BATCH, "validation"),
            "fine_tune": _only(learning["fine_tune"], *BATCH, "validation", "percents"),
            "label_fraction": _only(learning["label_fraction"], "percents", "folds"),
            "knn": _only(learning["knn"], "k"),
            "feature_map": _only(learning["feature_map"], "points", "perplexity"),
            **_own_augmentations(config, filter(None, [learning["supervised"]["augmentation"]])),
        }
    if "grid" in config["parts"] and grid["dataset"] == dataset:
        cells = [
            _cell(config, architecture, augmentation)
            for architecture in grid["architectures"]
            for augmentation in grid["augmentations"]
            if cell_name(architecture, augmentation) in grid_cells(config)
        ]
        distinct = [cell for number, cell in enumerate(cells) if cell not in cells[:number]]
        sizes["grid"] = {
            "validation": grid["validation"],
            "cells": distinct,
            **_own_augmentations(config, grid["augmentations"]),
        }
    return sizes


def _own_augmentations(config: Config, names: Iterable[str]) -> dict[str, Any]:
    """`augmentations`: `module` and `options`, by name, of those that are modules; empty without any."""
    entries = {name: config["augmentations"][name] for name in names}
    own = {name: _only(entry, "module", "options") for name, entry in entries.items() if entry.get("module")}
    return {"augmentations": own} if own else {}


def _cell(config: Config, architecture: str, augmentation: str) -> dict[str, Any]:
    name, recipe = cell_name(architecture, augmentation), cell_recipe(config, architecture, augmentation)
    place = f"architectures.{architecture}.recipes.{config['grid']['recipe']}"
    if "batch_size" in config["grid"]["cells"].get(name, {}):
        place = f"grid.cells.{name}"
    network = {"name": architecture, **recipe["architecture"]}
    return {"place": place, "architecture": network, "recipe": _only(recipe, *BATCH)}


def _only(recipe: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: recipe[key] for key in keys}
