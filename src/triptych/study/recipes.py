"""Whether a result was computed by the recipe of a preset."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from snakemake.utils import update_config

from triptych.config.cells import (
    augmentation_recipe,
    cell_recipe,
    encoder_architecture,
    image_side,
    simclr_recipe,
    subset_recipe,
    training_recipe,
)
from triptych.config.grid import Augmentation, Recipe
from triptych.config.self_supervision import SelfSupervision
from triptych.config.validation import validate_config
from triptych.workflow.errors import TriptychError

ROOT = Path(__file__).parents[3]
# Knobs that do not decide a number, or that a rule sets itself (evaluations of cached features).
NOT_COMPARED = ("device", "precision", "compile")
TRAININGS = ("grid", "supervised", "simclr", "subsets")


def study_config(presets: Sequence[str | Path]) -> dict[str, Any]:
    """The config of `snakemake --configfile PRESETS`, checked and with its defaults.

    Raises:
        TriptychError: a file is missing, or the config is wrong.
    """
    config: dict[str, Any] = {}
    for path in [ROOT / "config.yaml", *map(Path, presets)]:
        if not path.is_file():
            raise TriptychError(f"{path}: there is no such preset")
        update_config(config, yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    validate_config(config)
    return config


def recipe_differences(
    config: Mapping[str, Any], run: str, recipe: Mapping[str, Any], train_images: int | None
) -> list[str]:
    """In which knobs a result's recipe differs from that of the preset, as `knob 2 instead of 1`.

    A knob that the result's version did not have yet is compared by its default. Options that the preset
    leaves to the network (null) are not compared.

    Args:
        config: as `study_config` returns it.
        run: folder of the result below `results/`, such as `grid/vit-cutmix/seed0`.
        recipe: the recipe in the result's provenance.
        train_images: number of training images of the result's data set.
    """
    kind, name = run.split("/")[:2]
    learning = config["self_supervision"]
    found = {"architecture": recipe.get("architecture"), **recipe}
    if kind == "grid":
        cell = _cell(config, name)
        expected, defaults = cell_recipe(config, *cell), Recipe().model_dump()
        options = config["architectures"][cell[0]]["options"] | training_recipe(config, *cell)["options"]
    elif kind == "subsets":
        row = run.split("/")[2]
        if name not in config["grid"]["subsets"] or row not in config["grid"]["architectures"]:
            return [f"the preset does not train {row} on {name}"]
        expected, defaults = subset_recipe(config, name, row), Recipe().model_dump()
        options = config["architectures"][row]["options"]
    elif kind == "scenes":
        section = "radiance" if run.endswith("radiance") else "views"
        if name not in config["scenes"]:
            return ["the preset has no scene of this name"]
        expected = {**config["reconstruction"][section], **(config["scenes"][name].get(section) or {})}
        defaults, options = {}, {}
    else:
        expected = {"architecture": encoder_architecture(config), **learning.get(kind, {})}
        field = SelfSupervision.model_fields.get(kind)
        defaults = field.default.model_dump() if field else {}
        options = config["architectures"][learning["architecture"]]["options"]
    if kind == "supervised":
        chosen = config["augmentations"].get(learning[kind]["augmentation"], {"method": "none"})
        expected["augmentation"] = augmentation_recipe(chosen, image_side(config, "self_supervision"))
    if kind == "simclr":
        expected = simclr_recipe(config)
        if expected["minutes"] is not None:
            expected.pop("epochs")  # as many as fit
    if kind not in TRAININGS:  # evaluations carry the knobs that they read
        expected = {knob: value for knob, value in expected.items() if knob in recipe}
    if found["architecture"] and "architecture" in expected:
        free = [name for name, value in options.items() if value is None]
        given = {name: value for name, value in found["architecture"]["options"].items() if name not in free}
        found["architecture"] = {**found["architecture"], "options": given}
    return _differences(expected, found, defaults, train_images)


def _cell(config: Mapping[str, Any], name: str) -> tuple[str, str]:
    for row in config["grid"]["architectures"]:
        for column in config["grid"]["augmentations"]:
            if name == f"{row}-{column}":
                return row, column
    raise TriptychError(f"the preset has no cell {name}")


def _differences(
    expected: Mapping[str, Any], found: Mapping[str, Any], defaults: Mapping[str, Any], images: int | None
) -> list[str]:
    augmentation = Augmentation(method="none").model_dump()
    texts = []
    for knob in [*expected, *(knob for knob in found if knob not in expected and knob != "percent")]:
        if knob in NOT_COMPARED:
            continue
        ours = expected.get(knob, defaults.get(knob))
        theirs = found.get(knob, defaults.get(knob))
        if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
            inner = augmentation if knob == "augmentation" else defaults.get(knob) or {}
            texts += [f"{knob}.{text}" for text in _differences(ours, theirs, inner, None)]
            continue
        if knob == "validation" and images is not None:
            ours, theirs = (images // 10 if value == "auto" else value for value in (ours, theirs))
        if ours != theirs:
            texts.append(f"{knob} {theirs} instead of {ours}")
    return texts
