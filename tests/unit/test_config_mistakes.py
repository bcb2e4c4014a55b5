"""Each mistake in a config is one line that names the key and what it should be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from changed_config import changed, complaint, complaints, valid

from triptych.config.cells import RENAMED_MODULES, check_modules
from triptych.config.messages import RENAMED_KEYS, did_you_mean
from triptych.workflow.errors import TriptychError


def mistakes() -> Iterator[tuple[str, Any, str]]:
    """`key = value -> what the error says` in each line; the value is written as in a config file."""
    for line in Path(__file__).with_name("config_mistakes.txt").read_text().splitlines():
        given, _, expected = line.partition(" -> ")
        path, _, value = given.partition(" = ")
        yield path, yaml.safe_load(value), expected


@pytest.mark.parametrize(("path", "value", "expected"), mistakes())
def test_each_mistake_is_named(path: str, value: Any, expected: str) -> None:
    assert expected in complaint(changed(path, value))


CROP = {"padding": 4, "flip": 0.5, "degrees": 0}


@pytest.mark.parametrize(
    ("path", "value", "new"),
    [
        ("self_supervision.simclr.final_share", 0.1, "min_lr_ratio"),
        ("architectures.vit.recipes.modern.final_share", 0.1, "min_lr_ratio"),
        ("architectures.resnet18.recipes.report.decay", 0.2, "gamma"),
        ("self_supervision.simclr.stages", [], "progressive_resizing"),
        ("self_supervision.few_labels", {"percents": [1]}, "label_fraction"),
        ("self_supervision.probe.weight_decays.least", 0.1, "min"),
        ("self_supervision.probe.weight_decays.most", 1, "max"),
        ("self_supervision.supervised.mixing", "cutout", "augmentation"),
        ("self_supervision.supervised.augmentation", CROP, "base_augmentation"),
        ("self_supervision.fine_tune.augmentation", CROP, "base_augmentation"),
        ("grid.augmentation", CROP, "base_augmentation"),
        ("reconstruction.export.least_share", 0.01, "min_component_fraction"),
        ("scenes.orbit.export", {"least_share": 0.01}, "min_component_fraction"),
    ],
)
def test_an_old_name_is_an_error_that_tells_the_new_one(path: str, value: Any, new: str) -> None:
    old = f"{path}.{next(iter(value))}" if path == "scenes.orbit.export" else path
    assert complaint(changed(path, value)) == f"config: {old} is now {new}; rename it"
    assert new in RENAMED_KEYS.values()


@pytest.mark.parametrize("old", RENAMED_MODULES)
def test_an_old_module_is_an_error_that_tells_the_new_one(old: str) -> None:
    config = valid("architectures.vit.module", old)
    with pytest.raises(TriptychError, match=f"architectures.vit: module {old} is now triptych.models."):
        check_modules(config)


def test_all_missing_modules_are_named_at_once() -> None:
    config = valid("architectures.vit.module", "gone")
    config["architectures"]["resnet18"]["module"] = "lost"
    with pytest.raises(TriptychError) as caught:
        check_modules(config)
    assert sorted(line.split("'")[1] for line in str(caught.value).splitlines()) == ["gone", "lost"]


def test_a_number_that_yaml_reads_as_text_is_refused_in_options_too() -> None:
    assert "vit.options.dropout is '1e-3', which YAML reads as text" in complaint(
        changed("architectures.vit.options", {"dropout": "1e-3"})
    )


def test_an_empty_section_is_said_to_be_empty() -> None:
    assert "the section is empty: give it keys, or remove its line" in complaint(changed("grid", None))


def test_all_mistakes_are_named_at_once_one_a_line() -> None:
    config = changed("self_supervision.simclr.epoch", 3)
    config["grid"]["seeds"] = [0.5]
    config["datasets"]["mine"] = {"source": "foder", "path": "/x"}
    config["self_supervision"]["probe"]["optimizer"] = "SDG"
    assert complaints(config) == [
        "config: datasets.mine.source is 'foder' but must be one of 'cifar10', 'cifar100', 'archive', "
        "'folder', 'shapes'; did you mean 'folder'?",
        "config: grid.seeds[0] is 0.5 but must be of type integer",
        "config: self_supervision.probe.optimizer is 'SDG' but must be one of 'sgd', 'adam', 'adamw', "
        "'lars', 'muon'; did you mean 'sgd'?",
        "config: unknown key 'epoch' in self_supervision.simclr; did you mean 'epochs'?",
    ]


def test_names_and_trainings_that_do_not_fit_are_named_at_once_too() -> None:
    config = changed("grid.dataset", "cifar1000")
    config["grid"]["augmentations"] = ["mixup", "cutmixx"]
    assert [line.rpartition("; ")[2] for line in complaints(config)] == [
        "did you mean 'cifar100'?",
        "did you mean 'cutmix'?",
    ]


def test_numbers_are_not_corrected_by_their_digits() -> None:
    assert did_you_mean(3, [1, 2, 4, 8, 16, 32]) == ""
    assert did_you_mean("foder", ["folder"]) == "; did you mean 'folder'?"


def test_a_mistake_in_a_family_of_recipes_is_not_repeated_for_its_cells() -> None:
    config = changed("architectures.vit.recipes.modern.warmup_epochs", 200)
    config["grid"]["cells"] = {"vit-mixup": {"weight_decay": 0.1}, "vit-cutmix": {"epochs": 7}}
    assert complaints(config) == [
        "config: architectures.vit.recipes.modern.warmup_epochs is 200 but there are only 100 epochs; lower "
        "it, too",
        "config: grid.cells.vit-cutmix.warmup_epochs is 200 but there are only 7 epochs; lower it, too",
    ]
