"""Each mistake in a config is one line that names the key and what it should be."""

from typing import Any

import pytest
from changed_config import changed, complaint

from triptych.config.cells import RENAMED_MODULES, check_modules
from triptych.config.messages import RENAMED_KEYS
from triptych.config.validation import validate_config
from triptych.workflow.errors import TriptychError


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
