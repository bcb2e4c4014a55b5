"""What a valid config becomes: types, defaults, order."""

import copy
from pathlib import Path
from typing import get_args

import pytest
import yaml
from changed_config import CONFIG, ROOT, changed, checked, complaint, valid

from triptych.config.data import SOURCES
from triptych.config.study import Compute
from triptych.config.validation import validate_config
from triptych.kernels.registry import TIERS


def test_the_tiers_of_kernels_are_the_registrys() -> None:
    values = get_args(Compute.model_fields["kernels"].annotation)
    assert set(values) == {"auto", "off", *TIERS} - {"generic"}


def test_a_checked_config_is_valid_and_stays_the_same() -> None:
    config = checked()
    again = copy.deepcopy(config)
    validate_config(again)
    assert again == config


def test_off_needs_no_quotes_where_yaml_reads_it_as_false() -> None:
    config = valid("compute.kernels", yaml.safe_load("off"))
    assert config["compute"]["kernels"] == "off"


def test_a_whole_number_stays_one_and_keys_are_sorted() -> None:
    """Both are part of a recipe's text, by which Snakemake compares params."""
    config = valid("self_supervision.simclr.learning_rate", 1)
    simclr = config["self_supervision"]["simclr"]
    assert repr(simclr["learning_rate"]) == "1"
    assert list(simclr) == sorted(simclr)


def test_a_warm_up_is_not_compared_with_the_epochs_that_minutes_replace() -> None:
    valid("self_supervision.simclr", {"minutes": 600, "epochs": 5, "warmup_epochs": 10})


def test_a_scene_may_have_a_budget_of_its_own_kind() -> None:
    valid("scenes.orbit.radiance", {"steps": None, "minutes": 5})


@pytest.mark.parametrize("preset", [None, *sorted((ROOT / "presets").glob("*.yaml"))], ids=str)
def test_the_config_and_every_preset_are_valid(preset: Path | None) -> None:
    checked(**(yaml.safe_load(preset.read_text()) if preset else {}))


@pytest.mark.parametrize(
    "part", [{"architectures": ["resnet18"]}, {"augmentations": ["mixup"]}, {"architectures": ["vit_384"]}]
)
def test_a_presets_cells_stay_valid_where_a_study_leaves_them_out(part: dict[str, list[str]]) -> None:
    config = changed("grid.cells", {"vit-baseline": {"epochs": 200}})
    config["grid"].update(part)
    validate_config(config)


def test_defaults_are_filled_in_but_not_into_overrides() -> None:
    config = changed("grid.cells", {"vit-mixup": {"epochs": 17}})
    del config["self_supervision"]["simclr"]["views"]
    validate_config(config)
    assert config["self_supervision"]["simclr"]["views"]["jitter"] == [0.4, 0.4, 0.4, 0.1]
    assert config["grid"]["cells"] == {"vit-mixup": {"epochs": 17}}


@pytest.mark.parametrize("source", SOURCES)
def test_of_a_data_set_null_stands_for_the_default(source: str) -> None:
    everything = {key: None for one in SOURCES.values() for key in one.model_fields}
    configs = [changed("datasets.mine", {**nulls, "source": source}) for nulls in ({}, everything)]
    for config in configs:
        validate_config(config)
    assert configs[0] == configs[1]


def test_a_data_set_has_only_what_its_source_reads() -> None:
    config = valid("datasets.mine", {"source": "shapes", "train": 50, "path": None})
    expected = {"source": "shapes", "train": 50, "test": 1000, "image_size": 32, "seed": 0}
    assert config["datasets"]["mine"] == expected


def test_every_default_is_valid_itself() -> None:
    definitions = ("datasets", "architectures", "augmentations", "scenes")
    config = {key: copy.deepcopy(CONFIG[key]) for key in definitions}
    validate_config(config)
    assert config["grid"]["seeds"] == [0, 1, 2]


def test_a_row_without_recipes_is_trained_by_the_defaults() -> None:
    config = changed("architectures.mine", {"module": "mine"})
    config["grid"]["architectures"] = ["mine"]
    validate_config(config)
    recipe = config["architectures"]["mine"]["recipes"]["modern"]
    assert recipe["optimizer"] == "sgd" and recipe["learning_rate"] == 0.1 and recipe["epochs"] == 100


def test_whole_numbers_may_have_a_point() -> None:
    config = changed("self_supervision.simclr.epochs", 2.0)
    config["grid"]["seeds"] = [0.0, 1]
    validate_config(config)
    assert repr(config["self_supervision"]["simclr"]["epochs"]) == "2"
    assert repr(config["grid"]["seeds"]) == "[0, 1]"
    assert "is 2.5 but must be of type integer" in complaint(changed("self_supervision.simclr.epochs", 2.5))
