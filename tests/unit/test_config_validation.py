"""A wrong config is one clear line that names the key and says what it should be."""

import copy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from triptych.config.cells import RENAMED_MODULES, check_modules
from triptych.config.data import SOURCES
from triptych.config.messages import RENAMED_KEYS
from triptych.config.study import Compute
from triptych.config.validation import validate_config
from triptych.kernels.registry import TIERS
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import SOURCE_ROOT

ROOT = SOURCE_ROOT.parent
CONFIG: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())


def changed(path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(CONFIG)
    *parents, last = path.split(".")
    place = config
    for name in parents:
        place = place[name]
    place[last] = value
    return config


def complaint(config: dict[str, Any]) -> str:
    with pytest.raises(TriptychError) as caught:
        validate_config(config)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        (
            "self_supervision.simclr.epoch",
            3,
            "unknown key 'epoch' in self_supervision.simclr; did you mean 'epochs'?",
        ),
        ("gird", {}, "unknown key 'gird' in the top level; did you mean 'grid'?"),
        ("self_supervision.simclr.temperature", -1, "simclr.temperature is -1 but must be greater than 0"),
        ("self_supervision.simclr.learning_rate", "1e-3", "(YAML reads 1e-3 as text; write 1.0e-3)"),
        ("grid.seeds", [0, "a"], "grid.seeds[1] is 'a' but must be of type integer"),
        ("architectures.vit.recipes.modern.optimizer", "lion", "must be one of 'sgd', 'adam', 'adamw'"),
        (
            "augmentations.cutmix.probability",
            1.5,
            "augmentations.cutmix.probability is 1.5 but must be at most 1",
        ),
        ("grid.dataset", "cifar1000", "grid.dataset names 'cifar1000', which is not defined under datasets"),
        ("grid.augmentations", ["mixup", "magic"], "grid.augmentations names 'magic'"),
        (
            "self_supervision.supervised.augmentation",
            "magic",
            "self_supervision.supervised.augmentation names 'magic'",
        ),
        ("grid.cells", {"vit-magic": {"epochs": 3}}, "grid.cells names 'vit-magic', which is no cell"),
        ("grid.cells", {"vit-mixup": {"epoch": 3}}, "unknown key 'epoch' in grid.cells.vit-mixup"),
        (
            "self_supervision.simclr.temperature",
            float("nan"),
            "simclr.temperature is nan but must be a finite",
        ),
        ("self_supervision.simclr.views.crop_scale", [0, float("inf")], "crop_scale[1] is inf but must be a"),
        (
            "self_supervision.simclr.progressive_resizing",
            [{"share": 0.5, "scale": 0.5}, {"share": 0.2, "scale": 1}],
            "progressive_resizing has the shares 0.5, 0.2, 0.7 in all; they must add up to 1",
        ),
        (
            "self_supervision.simclr.progressive_resizing",
            [{"share": 1, "scale": 1, "size": 32}],
            "progressive_resizing[0].size is now scale; rename it",
        ),
        ("self_supervision.simclr.views.crop_scale", [1.0, 0.2], "the smaller share comes first"),
        (
            "reconstruction.export.box",
            [[1, 1, 1], [-1, 2, 2]],
            "reconstruction.export.box is [[1, 1, 1], [-1, 2, 2]]; the lowest corner comes first",
        ),
        (
            "scenes.orbit.export",
            {"box": [[0, 0, 1], [1, 1, 1]]},
            "scenes.orbit.export.box is [[0, 0, 1], [1, 1, 1]]; the lowest corner comes first",
        ),
        (
            "self_supervision.simclr.device",
            "cudaa",
            "simclr.device: 'cudaa' must be auto, cpu, mps, cuda, xpu,",
        ),
        (
            "scenes.My Desk",
            {"source": "orbit"},
            "scenes: 'My Desk' must be a name of small letters, digits and",
        ),
        (
            "datasets.mine",
            {"source": "shapes", "path": "/x"},
            "'path' is not read by this source, which reads source, train, test, image_size, seed",
        ),
        ("datasets.mine", {"source": "cifar10", "image_size": 64}, "'image_size' is not read by this source"),
        (
            "datasets.mine",
            {"source": "cifar12"},
            "source is 'cifar12' but must be one of 'cifar10', 'cifar100'",
        ),
        ("datasets.mine", {"path": "/x"}, "datasets.mine lacks the key 'source'; add it"),
        ("datasets.cifar10.md5", "abc", "datasets.cifar10.md5: 'abc' must be 32 hexadecimal digits"),
        ("reconstruction.radiance.steps", "many", "is 'many' but must be of type integer or null"),
        (
            "reconstruction.radiance.steps",
            None,
            "reconstruction.radiance has neither steps nor minutes; give at least one of them",
        ),
        (
            "scenes.orbit.radiance",
            {"steps": None},
            "scenes.orbit.radiance has neither steps nor minutes; give at least one of them",
        ),
        (
            "self_supervision.label_fraction.weight_decays",
            {"min": 0.1, "max": 0.01},
            "label_fraction.weight_decays has min 0.1 and max 0.01; min must not be greater",
        ),
        (
            "self_supervision.fine_tune.percents",
            [1, 200],
            "fine_tune.percents[1] is 200 but must be at most 100",
        ),
        (
            "self_supervision.simclr",
            {"minutes": 60, "compile": True},
            "self_supervision.simclr.minutes is laid out over the speed of an uncompiled model",
        ),
        (
            "self_supervision.supervised.schedule",
            "step",
            "self_supervision.supervised has schedule: step and no milestones",
        ),
        (
            "grid.cells",
            {"resnet18-mixup": {"schedule": "one_cycle", "warmup_epochs": 0}},
            "grid.cells.resnet18-mixup has schedule: one_cycle, which rises over warmup_epochs",
        ),
        ("grid.leave_out", ["vit-cutmixx"], "grid.leave_out names 'vit-cutmixx', which is no cell"),
        (
            "grid.leave_out",
            ["vit-baseline", "vit-mixup", "vit-cutout", "vit-cutmix"],
            "grid.leave_out leaves no cell of 'vit'; take it out of grid.architectures instead",
        ),
        (
            "grid.leave_out",
            ["vit-mixup", "resnet18-mixup"],
            "grid.leave_out leaves no cell of 'mixup'; take it out of grid.augmentations instead",
        ),
        ("self_supervision.probe.warmup_epochs", 101, "warmup_epochs is 101 but there are only 100 epochs"),
        (
            "architectures.resnet18.recipes.modern",
            {"nesterov": True, "momentum": 0},
            "architectures.resnet18.recipes.modern has nesterov: true, which needs a momentum above 0",
        ),
        (
            "self_supervision.simclr",
            {"batch_size": 96, "gpus": 2, "accumulate": 5},
            "batch_size is 96, which gpus: 2 and accumulate: 5 cannot share; make it a multiple of 10 and at "
            "least 20",
        ),
        (
            "grid.cells",
            {"vit-mixup": {"warmup_epochs": 101}},
            "grid.cells.vit-mixup.warmup_epochs is 101 but there are only 100 epochs",
        ),
        (
            "augmentations.mixup",
            {"alpha": 0.4},
            "augmentations.mixup has neither of the keys 'method' and 'module'; give one of them",
        ),
        (
            "augmentations.mixup.module",
            "mine",
            "augmentations.mixup has both of the keys 'method' and 'module'",
        ),
        (
            "augmentations.mixup",
            {"module": "mine", "probability": 0.5},
            "augmentations.mixup.probability is not read, as it has a module; put it under options",
        ),
        (
            "augmentations.mixup.options",
            {"share": 0.5},
            "augmentations.mixup.options are for a 'module'; leave them out",
        ),
        (
            "augmentations.strong.rand_augment.magnitude",
            31,
            "augmentations.strong.rand_augment.magnitude is 31 but must be at most 30",
        ),
        (
            "grid.recipe",
            "modren",
            "grid.recipe is 'modren', but architectures.resnet18.recipes has no such family; it has: report",
        ),
        (
            "architectures.vit.recipes",
            {"report": {}},
            "grid.recipe is 'modern', but architectures.vit.recipes has no such family; it has: report",
        ),
    ],
)
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
    config = changed("architectures.vit.module", old)
    validate_config(config)
    with pytest.raises(TriptychError, match=f"architectures.vit: module {old} is now triptych.models."):
        check_modules(config)


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("self_supervision.simclr.views", None, "simclr.views is null but must be of type mapping"),
        ("self_supervision.simclr.views.crop_scale", [0.5], "crop_scale has 1 entries but needs 2"),
        ("self_supervision.simclr.views.jitter", [0, 0, 0, 0, 0], "jitter has 5 entries but may have 4"),
        ("self_supervision.simclr.epochs", 5.5, "simclr.epochs is 5.5 but must be of type integer"),
        ("grid.seeds", [], "grid.seeds has 0 entries but needs at least 1"),
        ("grid.seeds", [1, 2, 1], "grid.seeds has 1 twice"),
        ("grid.cells", {3: {}}, "grid.cells: the key 3 must be text"),
        ("reconstruction.orbit.width", 101, "orbit.width is 101 but must be a multiple of 2"),
        ("reconstruction.sfm.first_octave", 2, "first_octave is 2 but must be one of -1, 0, 1, null"),
        ("architectures.mine", {}, "architectures.mine lacks the key 'module'; add it"),
        ("architectures.vit.dim", 3, "what your module takes stands under architectures.vit.options"),
        ("compute.kernels", True, "kernels is True but must be one of 'auto', 'off', 'amx_bf16'"),
    ],
)
def test_each_kind_of_mistake_has_its_words(path: str, value: Any, expected: str) -> None:
    assert expected in complaint(changed(path, value))


def test_the_tiers_of_kernels_are_the_registrys() -> None:
    values = get_args(Compute.model_fields["kernels"].annotation)
    assert set(values) == {"auto", "off", *TIERS} - {"generic"}


def test_a_checked_config_is_valid_and_stays_the_same() -> None:
    config = copy.deepcopy(CONFIG)
    validate_config(config)
    again = copy.deepcopy(config)
    validate_config(again)
    assert again == config


def test_off_needs_no_quotes_where_yaml_reads_it_as_false() -> None:
    config = changed("compute.kernels", yaml.safe_load("off"))
    validate_config(config)
    assert config["compute"]["kernels"] == "off"


def test_the_home_folder_may_be_written_as_a_tilde() -> None:
    config = changed("scenes.desk", {"source": "video", "path": "~/desk.mp4"})
    validate_config(config)
    assert config["scenes"]["desk"]["path"] == str(Path.home() / "desk.mp4")


def test_variables_in_paths_are_replaced_unless_there_is_such_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IMAGES", "/data/images")
    (tmp_path / "US$IMAGES").mkdir()
    for path, expected in (("$IMAGES/a", "/data/images/a"), ("US$IMAGES", "US$IMAGES")):
        config = changed("datasets.mine", {"source": "folder", "path": path, "labels": "${IMAGES}/a.csv"})
        validate_config(config)
        assert config["datasets"]["mine"]["path"] == expected
        assert config["datasets"]["mine"]["labels"] == "/data/images/a.csv"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            "$NOT_SET_HERE/a",
            "config: datasets.mine.path is '$NOT_SET_HERE/a', but the variable NOT_SET_HERE is",
        ),
        (r"C:\Users\me\flowers", "(in WSL: /mnt/c/Users/me/flowers)"),
        ("D:/flowers", "is 'D:/flowers', a path of Windows"),
        (" ", "config: datasets.mine.path is empty"),
    ],
)
def test_a_path_that_means_nothing_here_is_refused(path: str, expected: str) -> None:
    assert expected in complaint(changed("datasets.mine", {"source": "folder", "path": path}))


def test_a_whole_number_stays_one_and_keys_are_sorted() -> None:
    """Both are part of a recipe's text, by which Snakemake compares params."""
    config = changed("self_supervision.simclr.learning_rate", 1)
    validate_config(config)
    simclr = config["self_supervision"]["simclr"]
    assert repr(simclr["learning_rate"]) == "1"
    assert list(simclr) == sorted(simclr)


def test_a_warm_up_is_not_compared_with_the_epochs_that_minutes_replace() -> None:
    config = changed("self_supervision.simclr", {"minutes": 600, "epochs": 5, "warmup_epochs": 10})
    validate_config(config)


def test_a_scene_may_have_a_budget_of_its_own_kind() -> None:
    validate_config(changed("scenes.orbit.radiance", {"steps": None, "minutes": 5}))


@pytest.mark.parametrize("preset", [None, *sorted((ROOT / "presets").glob("*.yaml"))], ids=str)
def test_the_config_and_every_preset_are_valid(preset: Path | None) -> None:
    from snakemake.utils import update_config

    config = copy.deepcopy(CONFIG)
    if preset:
        update_config(config, yaml.safe_load(preset.read_text()))
    validate_config(config)


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
    config = changed("datasets.mine", {"source": "shapes", "train": 50, "path": None})
    validate_config(config)
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


def test_a_number_that_yaml_reads_as_text_is_refused_in_options_too() -> None:
    assert "vit.options.dropout is '1e-3', which YAML reads as text" in complaint(
        changed("architectures.vit.options", {"dropout": "1e-3"})
    )


def test_an_empty_section_is_said_to_be_empty() -> None:
    assert "the section is empty: give it keys, or remove its line" in complaint(changed("grid", None))


def test_a_relative_path_is_relative_to_the_callers_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "study").mkdir()
    monkeypatch.chdir(tmp_path / "study")
    monkeypatch.setenv("TRIPTYCH_CALLER", str(tmp_path))
    config = changed("datasets.mine", {"source": "folder", "path": "flowers"})
    validate_config(config)
    assert config["datasets"]["mine"]["path"] == str(tmp_path / "flowers")
    monkeypatch.chdir(tmp_path)
    validate_config(config := changed("datasets.mine", {"source": "folder", "path": "flowers"}))
    assert config["datasets"]["mine"]["path"] == "flowers"


def test_all_mistakes_are_named_at_once_one_a_line() -> None:
    config = changed("self_supervision.simclr.epoch", 3)
    config["grid"]["seeds"] = [0.5]
    config["datasets"]["mine"] = {"source": "foder", "path": "/x"}
    config["self_supervision"]["probe"]["optimizer"] = "SDG"
    with pytest.raises(TriptychError) as caught:
        validate_config(config)
    assert str(caught.value).splitlines() == [
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
    with pytest.raises(TriptychError) as caught:
        validate_config(config)
    assert [line.rpartition("; ")[2] for line in str(caught.value).splitlines()] == [
        "did you mean 'cifar100'?",
        "did you mean 'cutmix'?",
    ]


def test_a_mistake_in_a_family_of_recipes_is_not_repeated_for_its_cells() -> None:
    config = changed("architectures.vit.recipes.modern.warmup_epochs", 200)
    config["grid"]["cells"] = {"vit-mixup": {"weight_decay": 0.1}, "vit-cutmix": {"epochs": 7}}
    with pytest.raises(TriptychError) as caught:
        validate_config(config)
    assert str(caught.value).splitlines() == [
        "config: architectures.vit.recipes.modern.warmup_epochs is 200 but there are only 100 epochs; lower "
        "it, too",
        "config: grid.cells.vit-cutmix.warmup_epochs is 200 but there are only 7 epochs; lower it, too",
    ]
