"""What decides a cell of the grid: its row, its column, the chosen family, and nothing else."""

import copy
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from changed_config import ROOT, checked

from triptych.augment import augmentation, mixing
from triptych.config.cells import (
    augmentation_recipe,
    cell_recipe,
    check_modules,
    image_side,
    modules_of,
    simclr_recipe,
)
from triptych.config.grid import METHODS, Policies
from triptych.config.sizes import training_mb
from triptych.workflow.errors import TriptychError
from triptych.workflow.tracked_code import tracked_files

CELLS = [(row, column) for row in ("resnet18", "vit") for column in ("baseline", "mixup", "cutout", "cutmix")]


def configured(**grid: Any) -> dict[str, Any]:
    return checked(grid=grid)


def differing(before: dict[str, Any], after: dict[str, Any]) -> set[tuple[str, str]]:
    return {cell for cell in CELLS if cell_recipe(before, *cell) != cell_recipe(after, *cell)}


def test_the_reports_recipes_are_the_published_ones() -> None:
    config = configured(recipe="report")
    resnet, vit = (cell_recipe(config, row, "baseline") for row in ("resnet18", "vit"))
    published = {
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "gamma": 0.2,
    }
    published |= {"schedule": "step", "milestones": [20, 40, 60], "epochs": 100, "batch_size": 128}
    assert published.items() <= resnet.items()
    published = {"optimizer": "adam", "learning_rate": 1e-4, "weight_decay": 0.0, "schedule": "cosine"}
    assert published.items() <= vit.items()
    assert vit["architecture"]["options"]["dropout"] == 0.1
    for recipe in (resnet, vit):
        plain = {"label_smoothing": 0, "ema": 0, "clip_norm": None, "nesterov": False, "decay_biases": True}
        assert plain.items() <= recipe.items()


@pytest.mark.parametrize("family", ["report", "modern"])
@pytest.mark.parametrize("row", ["resnet18", "vit"])
def test_the_four_settings_share_everything_but_their_mixing(family: str, row: str) -> None:
    config = configured(recipe=family)
    recipes = [cell_recipe(config, row, column) for column in ("baseline", "mixup", "cutout", "cutmix")]
    assert [recipe.pop("augmentation")["method"] for recipe in recipes] == [
        "none",
        "mixup",
        "cutout",
        "cutmix",
    ]
    assert all(recipe == recipes[0] for recipe in recipes)
    assert recipes[0]["base_augmentation"] == {"padding": 4, "flip": 0.5, "degrees": 15}


def test_the_baseline_is_crop_mirror_and_rotation_and_nothing_else() -> None:
    assert augmentation_recipe(configured()["augmentations"]["baseline"]) == {"method": "none"}


def test_families_differ_in_the_training_and_in_what_it_changes_in_the_network() -> None:
    report, modern = (
        cell_recipe(configured(recipe=family), "vit", "mixup") for family in ("report", "modern")
    )
    assert (
        report["architecture"]["options"] | {"dropout": 0.0, "stochastic_depth": 0.1}
        == (modern["architecture"]["options"])
    )
    assert (report["optimizer"], modern["optimizer"]) == ("adam", "adamw")
    assert report["augmentation"] == modern["augmentation"]


def test_changes_reach_their_cells_only() -> None:
    before = configured()
    one = configured(cells={"vit-mixup": {"epochs": 17, "options": {"stochastic_depth": 0.3}}})
    assert differing(before, one) == {("vit", "mixup")}
    recipe = cell_recipe(one, "vit", "mixup")
    assert recipe["epochs"] == 17 and recipe["architecture"]["options"]["stochastic_depth"] == 0.3
    assert recipe["architecture"]["options"]["dim"] == 512

    row = copy.deepcopy(before)
    row["architectures"]["vit"]["recipes"]["modern"]["ema"] = 0.5
    assert differing(before, row) == {cell for cell in CELLS if cell[0] == "vit"}
    other_family = copy.deepcopy(before)
    other_family["architectures"]["vit"]["recipes"]["report"]["ema"] = 0.5
    assert differing(before, other_family) == set()

    column = copy.deepcopy(before)
    column["augmentations"]["mixup"]["alpha"] = 1.0
    assert differing(before, column) == {cell for cell in CELLS if cell[1] == "mixup"}


def test_titles_and_numbers_that_a_method_does_not_read_change_nothing() -> None:
    before, after = configured(), configured()
    after["augmentations"]["mixup"] |= {"title": "Blend", "size": 5}
    after["augmentations"]["cutout"] |= {"alpha": 3.0}
    after["architectures"]["vit"]["title"] = "Transformer"
    assert differing(before, after) == set()


def test_the_knobs_of_a_method_are_the_arguments_of_its_function() -> None:
    assert METHODS.keys() == {"none", *mixing.METHODS}
    for name, function in mixing.METHODS.items():
        assert {*METHODS[name].model_fields, "images", "targets", "generator"} == {
            *signature(function).parameters
        }
    assert set(Policies.model_fields) == set(augmentation.POLICIES)


def test_a_stronger_policy_and_a_users_module_are_columns_of_their_own() -> None:
    config = configured()
    strong = augmentation_recipe(config["augmentations"]["strong"])
    assert strong["method"] == "cutmix" and strong["rand_augment"]["operations"] == 2
    assert "strong" not in config["grid"]["augmentations"]
    own = {
        "title": "Mine",
        "module": "mine",
        "options": {"width": 3},
        "alpha": 0.4,
        "size": 8,
        "probability": 1.0,
    }
    assert augmentation_recipe(own) == {"module": "mine", "options": {"width": 3}}


def test_vit_384_is_a_row_to_choose_with_the_vits_recipes() -> None:
    config = configured(architectures=["vit", "vit_384"])
    for family in ("report", "modern"):
        config["grid"]["recipe"] = family
        ours, wide = (cell_recipe(config, row, "cutmix") for row in ("vit_384", "vit"))
        assert ours["architecture"]["options"] == wide["architecture"]["options"] | {
            "dim": 384,
            "depth": 8,
            "mlp": 1152,
        }
        assert {**ours, "architecture": 0} == {**wide, "architecture": 0}


@pytest.mark.parametrize("table", ["architectures", "augmentations"])
def test_modules_of_chosen_rows_and_columns_must_lie_where_edits_are_noticed(table: str) -> None:
    config = configured()
    config[table]["mine"] = {"module": "json"}
    check_modules(config)
    config["grid"][table].append("mine")
    missing = rf"{table}.mine: there is no module 'json' under src/; put its file"
    with pytest.raises(TriptychError, match=missing):
        check_modules(config)
    if table == "augmentations":
        config["grid"][table].remove("mine")
        config["self_supervision"]["supervised"]["augmentation"] = "mine"
        with pytest.raises(TriptychError, match=missing):
            check_modules(config)


def test_a_users_syntax_error_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("import this\ndef build(:\n")
    monkeypatch.setattr("triptych.workflow.tracked_code.SOURCE_ROOT", tmp_path)
    config = configured(architectures=["resnet18"])
    config["architectures"]["resnet18"]["module"] = "mine"
    with pytest.raises(TriptychError, match=r"mine.py, line 2: invalid syntax"):
        check_modules(config)


def test_a_policy_is_code_of_the_columns_that_have_it_and_of_no_others() -> None:
    config = configured()
    columns = {name: modules_of([column]) for name, column in config["augmentations"].items()}
    assert columns.pop("strong") == ["triptych.augment.rand_augment", "triptych.augment.random_erasing"]
    assert not any(columns.values())
    closure = {path.name for path in tracked_files(ROOT / "workflow/scripts/train_classifier.py")}
    assert "mixing.py" in closure and not {"rand_augment.py", "erasing.py", "checks.py"} & closure


@pytest.mark.parametrize(("source", "sizes"), [({}, [16, 32]), ({"image_size": 224}, [112, 224])])
def test_progressive_resizing_follows_the_size_of_the_images(
    source: dict[str, int], sizes: list[int]
) -> None:
    config = configured()
    config["datasets"]["cifar10"] |= source
    config["self_supervision"]["simclr"]["progressive_resizing"] = [
        {"share": 0.9, "scale": 0.5},
        {"share": 0.1, "scale": 1},
    ]
    stages = simclr_recipe(config)["progressive_resizing"]
    assert stages == [{"share": share, "size": size} for share, size in zip([0.9, 0.1], sizes, strict=True)]


def test_recipes_of_a_part_that_is_not_run_can_be_made_before_its_images_have_a_size() -> None:
    config = configured()
    config["datasets"]["flowers"] = {"source": "folder", "path": "flowers", "image_size": "auto"}
    config["self_supervision"]["dataset"] = "flowers"
    config["self_supervision"]["simclr"]["progressive_resizing"] = [{"share": 1, "scale": 0.5}]
    assert training_mb(simclr_recipe(config), image_side(config, "self_supervision"), views=2) > 0
