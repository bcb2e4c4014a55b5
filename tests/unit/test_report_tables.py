"""Tables: mean and deviation over seeds, beside the published figures, in three formats."""

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from report_pages import make_tables
from report_results import MODELS, fabricate

from triptych.config.cells import cell_recipe
from triptych.config.validation import validate_config
from triptych.report.comparison import Comparison, compare
from triptych.report.estimates import estimate, spread_note
from triptych.report.grid_table import error_table, grid_comparison, grid_estimates, grid_rows
from triptych.report.parameter_table import parameter_rows, part_table, summary_table
from triptych.report.published import published_curve, published_epochs, published_result
from triptych.report.published_table import published_rows, published_tables
from triptych.report.render_table import Table, escape_latex, escape_markdown, latex, markdown
from triptych.report.results import Result, group_cells, read_result
from triptych.report.self_supervision_table import self_supervision_comparison
from triptych.workflow.errors import TriptychError
from triptych.workflow.files import read_json, write_json

ROOT = Path(__file__).parents[2]


def result(path: str, **values: float | None) -> Result:
    seed = re.search(r"seed(\d+)", path)
    return Result(Path(path), dict(values), {"recipe": {}, "seed": int(seed[1]) if seed else None})


def cell(architecture: str, augmentation: str, *errors: float) -> list[Result]:
    return [
        result(
            f"results/grid/{architecture}-{augmentation}/seed{seed}/metrics.json",
            test_top1_error=error,
            epochs=100,
        )
        for seed, error in enumerate(errors)
    ]


CIFAR100 = {"name": "cifar100", "counts": {"train": 50_000, "test": 10_000}}
SHAPES = {"name": "shapes", "counts": {"train": 4_000, "test": 1_000}}


def table_of(cells: dict[tuple[str, str], list[Result]], dataset: dict[str, object]) -> Table:
    return error_table(
        cells,
        "test_top1_error",
        architectures={name: name for name, _ in cells},
        augmentations={name: name for _, name in cells},
        comparison=compare("grid", dataset, epochs={}, models={}),
    )


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_mean_and_deviation_are_those_of_numpy_with_n_minus_one(errors: list[float]) -> None:
    value = estimate(cell("vit", "mixup", *errors), "test_top1_error")
    assert value.n == len(errors)
    assert value.mean == pytest.approx(np.mean(errors), abs=1e-9)
    assert value.std == pytest.approx(np.std(errors, ddof=1), abs=1e-9)


def test_a_single_seed_has_no_deviation_and_says_so() -> None:
    value = estimate(cell("vit", "mixup", 48.7), "test_top1_error")
    assert (value.n, value.std, str(value)) == (1, None, "48.70")
    assert "n = 1" in spread_note([value])


def test_a_diverged_run_shows_as_nan_and_not_as_a_good_number() -> None:
    runs = [
        *cell("vit", "mixup", 48.0),
        result("results/grid/vit-mixup/seed1/metrics.json", test_top1_error=None),
    ]
    value = estimate(runs, "test_top1_error")
    assert math.isnan(value.mean)
    assert str(value) == "nan ± nan"


def test_every_published_grid_error_is_found_and_an_added_architecture_has_none() -> None:
    cells = {
        ("resnet18", "cutmix"): cell("resnet18", "cutmix", 24.0),
        ("mixer", "cutmix"): cell("mixer", "cutmix", 40.0),
    }
    estimates = grid_estimates(cells, "test_top1_error")
    assert estimates["resnet18", "cutmix"].published == 24.57
    assert estimates["mixer", "cutmix"].published is None
    text = markdown(table_of(cells, CIFAR100))
    assert "| resnet18 | 24.00 (24.57) |" in text
    assert "| mixer | 40.00 (–) |" in text


def test_a_cell_that_was_left_out_is_not_run_in_its_table() -> None:
    cells = {
        ("resnet18", "baseline"): cell("resnet18", "baseline", 26.0),
        ("vit", "cutmix"): cell("vit", "cutmix", 43.0),
    }
    text = markdown(table_of(cells, CIFAR100))
    assert "| resnet18 | 26.00 (26.01) | not run |" in text
    assert "| vit | not run | 43.00 (43.67) |" in text


def test_every_published_error_stands_beside_ours_and_what_was_not_run_says_so() -> None:
    cells = {
        (row, "cutmix"): [
            replace(run, values={**run.values, "test_top5_error": 50.0})
            for run in cell(row, "cutmix", *errors)
        ]
        for row, errors in {"resnet18": (24.0, 25.0), "vit": (44.0,), "mixer": (1.0,)}.items()
    }
    comparison = compare("grid", CIFAR100, epochs={}, models={})
    titles = {"architectures": {"resnet18": "ResNet18"}, "augmentations": {"cutmix": "CutMix"}}
    top1, top5 = published_tables(cells, comparison, **titles)
    text = markdown(top1)
    assert "| ResNet18, CutMix | 24.57 | 24.50 ± 0.71 | −0.07 \\[−6.42, +6.28\\] |" in text
    assert "| ViT, CutMix | 43.67 | 44.00 | +0.33 |" in text
    assert "| ResNet18, Mixup | 25.73 | not run | – |" in text
    assert len(top1.rows) == len(top5.rows) == 8 and "Mixer" not in text and not top1.notes
    text = markdown(top5)
    assert "| ResNet18, CutMix | 6.55 | 50.00 ± 0.00 | +43.45 |" in text
    assert "Of the 16 published errors, 1 are higher than ours, 3 are not, and 12 belong to" in text
    assert "minus the published error; 0 lie below zero as a whole." in text
    rows = published_rows(cells, comparison).set_index(["architecture", "augmentation", "metric"])
    assert rows.loc[("vit", "cutmix", "test_top1_error"), "difference"] == pytest.approx(0.33)
    assert rows["mean"].notna().sum() == 4 and rows["high"].notna().sum() == 1
    elsewhere = compare("grid", SHAPES, epochs={}, models={})
    assert "16 belong to cells that were not run" in markdown(published_tables(cells, elsewhere, **titles)[1])


def test_long_form_has_a_row_a_cell_and_empty_fields_where_there_is_nothing() -> None:
    cells = {("vit", "mixup"): cell("vit", "mixup", 48.0, 50.0), ("vit", "mine"): cell("vit", "mine", 40.0)}
    estimates = grid_estimates(cells, "test_top1_error")
    comparison = compare("grid", CIFAR100, epochs={}, models={})
    rows = grid_rows(
        estimates,
        comparison,
        metric="test_top1_error",
        architectures=["vit"],
        augmentations=["mixup", "mine", "cutmix"],
    )
    assert list(rows.columns[:6]) == ["architecture", "augmentation", "n", "mean", "std", "published"]
    first, second, third = rows.to_dict("records")
    assert (first["n"], first["mean"], first["published"]) == (2, 49.0, 48.7)
    assert first["std"] == pytest.approx(math.sqrt(2))
    assert math.isnan(second["std"]) and math.isnan(second["published"])
    assert third["n"] == 0 and math.isnan(third["mean"]) and third["published"] == 43.67


def test_another_data_set_is_called_not_comparable_wherever_the_published_numbers_stand() -> None:
    table = table_of({("vit", "mixup"): cell("vit", "mixup", 48.0)}, SHAPES)
    for text in (markdown(table), latex(table)):
        assert "Not comparable" in text
        assert "published (CIFAR-100)" in text


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


def grid_of(
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
    return grid_comparison(cells, CIFAR100)


@pytest.fixture
def config() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    validate_config(config, ROOT / "workflow/schemas/config.schema.yaml")
    config["grid"]["recipe"] = "report"
    return config


def test_the_published_recipes_are_alike_and_a_better_one_is_not_called_so(config: dict[str, Any]) -> None:
    assert grid_of(config).likeness == "alike"
    config["grid"]["recipe"] = "modern"
    assert grid_of(config).differences == (
        "resnet18 trained with another schedule, nesterov, label smoothing, ema, decay biases",
        "vit trained with another optimizer, learning rate, dropout, label smoothing, ema, stochastic depth, "
        "clip norm, decay biases",
    )


def test_what_differs_in_one_cell_or_one_column_is_said_of_it(config: dict[str, Any]) -> None:
    config["grid"]["cells"] = {"vit-baseline": {"optimizer": "adamw", "ema": 0.999}}
    config["augmentations"]["mixup"]["alpha"] = 1.0
    config["augmentations"]["cutmix"]["probability"] = 0.1
    config["grid"]["base_augmentation"]["degrees"] = 0
    assert grid_of(config).differences == (
        "vit-baseline trained with another optimizer, ema",
        "images with another degrees",
        "mixup with another alpha",
        "cutmix with another probability",
    )


def test_other_batches_steps_and_validation_images_are_differences(config: dict[str, Any]) -> None:
    recipe = config["architectures"]["resnet18"]["recipes"]["report"]
    recipe |= {"batch_size": 512, "milestones": [90], "momentum": 0.5}
    config["grid"]["validation"] = 1000
    assert grid_of(config).differences == (
        "resnet18 trained with another momentum, milestones, batch size, validation",
        "vit trained with another validation",
    )


def test_a_stronger_policy_or_another_network_under_a_published_name_is_a_difference(
    config: dict[str, Any],
) -> None:
    config["augmentations"]["baseline"]["rand_augment"] = {"operations": 2, "magnitude": 9}
    config["architectures"]["vit"]["module"] = "mynet"
    recipe = config["architectures"]["resnet18"]["recipes"]["report"]
    recipe |= {"decay_biases": False, "min_lr_ratio": 0.5}
    assert grid_of(config).differences == (
        "another network for vit",
        "resnet18 trained with another decay biases, min lr ratio",
        "baseline with another rand augment",
    )


def test_a_grid_without_the_reports_networks_is_not_called_alike(config: dict[str, Any]) -> None:
    config["architectures"]["vit_384"]["recipes"]["report"] |= {"epochs": 100}
    assert grid_of(config, ["vit_384"]).differences == ("none of the report's networks",)
    assert grid_of(config, ["resnet18", "vit_384"]).likeness == "alike"


@pytest.mark.parametrize("text", ["p ≥ 0.05", "10¹⁵", "± × − ≈ † α –", "“text”"])
def test_latex_is_spared_the_characters_that_our_notes_have(text: str) -> None:
    assert escape_latex(text).isascii()


def self_supervision_of(config: dict[str, Any]) -> Comparison:
    """What is said of trainings with the config's recipes and the published epochs."""

    def result(recipe: dict[str, Any]) -> Result:
        return Result(Path("metrics.json"), {}, {"recipe": recipe})

    learning = config["self_supervision"]
    mixing = config["augmentations"].get(learning["supervised"]["augmentation"], {"method": "none"})
    network = {"architecture": {"options": {"width": learning["simclr"]["width"]}}, "augmentation": mixing}
    return self_supervision_comparison(
        {
            "simclr_linear_probe": [result(learning["probe"])],
            "supervised_resnet18": [result({**learning["supervised"], **network})],
        },
        result(learning["simclr"]),
        {"name": "cifar10", "counts": {"train": 50_000, "test": 10_000}},
        {"simclr": 100, "supervised": 100},
    )


def test_part_one_is_alike_only_with_the_published_recipes(config: dict[str, Any]) -> None:
    learning = config["self_supervision"]
    learning["simclr"]["views"]["blur_probability"] = 0.0
    assert "SGD on cropped and mirrored" in self_supervision_of(config).verdict
    learning["probe"]["protocol"] = "report"
    assert self_supervision_of(config).likeness == "alike"
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


def test_cells_are_found_by_their_folder_even_if_names_hold_dashes() -> None:
    results = cell("my-net", "cut-mix", 1.0) + cell("my", "net-cut-mix", 2.0)
    # Two cells of the same folder name would be ambiguous; Snakemake could not tell them apart either.
    cells = group_cells(results, architectures=["my-net"], augmentations=["cut-mix"])
    assert list(cells) == [("my-net", "cut-mix")]


def test_the_formulas_parts_and_the_rest_add_up_to_the_total() -> None:
    rows = parameter_rows(MODELS)
    for name, model in MODELS.items():
        own = rows[rows["model"] == name]
        parts = own[own["in_formula"].notna()]["parameters"].sum()
        assert parts == model["total"] == own[own["part"] == "total"]["parameters"].item()
        assert own[own["part"] == "within the formula"]["parameters"].item() == model["published_formula"]
    assert summary_table(MODELS).rows[0] == (
        "ResNet18",
        11_220_132,
        11_220_132,
        11_038_400,
        11_038_400,
        181_732,
    )
    assert summary_table(MODELS).rows[1][2] is None
    assert part_table(MODELS["vit"]).rows[-1] == ("Total", 12_727_908, "")


def test_markdown_and_latex_take_every_character_literally() -> None:
    table = Table("50 % of A_B & C", ("x|y", "α ± β"), (("a_b*c", "<i>"), ("#1", "$2^3~\\")), ("{note}",))
    text = markdown(table)
    assert r"| x\|y | α ± β |" in text
    assert r"| a\_b\*c | \<i\> |" in text
    tex = latex(table)
    assert r"\caption{50 \% of A\_B \& C}" in tex
    assert r"\#1 & \$2\textasciicircum{}3\textasciitilde{}\textbackslash{} \\" in tex
    assert r"\{note\}" in tex


def test_latex_does_not_take_the_beginning_of_a_row_for_an_option_of_the_line_before() -> None:
    tex = latex(Table("t", ("a", "b"), (("[ours]", "1"), ("* net", "2"))))
    assert "{}[ours] & 1" in tex and "{}* net & 2" in tex


@given(st.text())
def test_no_text_can_break_out_of_a_markdown_cell_or_a_latex_line(text: str) -> None:
    shown = escape_markdown(text)
    assert "\n" not in shown
    assert "|" not in shown.replace("\\\\", "").replace("\\|", "")
    bare = escape_latex(text)
    for command in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}", r"\textless{}"):
        bare = bare.replace(command, "")
    assert "%" not in bare.replace(r"\%", "")
    assert "&" not in bare.replace(r"\&", "")


def test_a_table_with_nothing_published_beside_it_has_no_brackets() -> None:
    value = estimate(cell("vit", "mixup", 48.0), "test_top1_error")
    table = Table("t", ("a", "b", "c"), (("one", value, None),), published_label=None)
    for text in (markdown(table), latex(table)):
        assert "48.00" in text and "(" not in text.split("48.00")[1] and "brackets" not in text


def test_ragged_tables_are_refused() -> None:
    with pytest.raises(ValueError, match="2 cells"):
        Table("t", ("a", "b"), (("only one",),))


def test_published_facts_are_those_of_the_report() -> None:
    probe = published_result("self_supervision", "simclr_linear_probe", "test_top1_accuracy")
    assert probe is not None
    assert (probe.value, probe.dataset) == (81.05, "cifar10")
    assert published_result("grid", "mixer-baseline", "test_top1_error") is None
    curve = published_curve("resnet18-baseline", "valid_top1_error")
    assert curve is not None
    assert (curve["epoch"].iloc[0], curve["epoch"].iloc[-1], curve["value"].iloc[-1]) == (2, 100, 28.66)
    assert (published_epochs("vit-baseline"), published_epochs("vit-mixup")) == (200, 100)
    assert published_epochs("mixer-baseline") is None


def test_results_without_provenance_are_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "metrics.json", {"test_top1_error": 3.0})
    with pytest.raises(TriptychError, match="not a result file"):
        read_result(tmp_path / "metrics.json")
    (tmp_path / "cut.json").write_text('{"a": 1, ')
    with pytest.raises(TriptychError, match=r"cut\.json"):
        read_result(tmp_path / "cut.json")


def test_a_result_that_lacks_a_number_says_which() -> None:
    with pytest.raises(TriptychError, match="test_top5_error"):
        cell("vit", "mixup", 1.0)[0].number("test_top5_error")


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("results/grid/vit-mixup/seed12/metrics.json", "grid/vit-mixup"),
        ("/somewhere/results/probe/random/seed0/metrics.json", "probe/random"),
        ("results/data/shapes/dataset.json", "data/shapes"),
        ("results/scenes/orbit/sfm.json", "scenes/orbit/sfm"),
        ("results/scenes/orbit/radiance/metrics.json", "scenes/orbit/radiance"),
    ],
)
def test_all_seeds_of_a_question_share_one_source(path: str, source: str) -> None:
    assert result(path).source == source


def test_the_scripts_write_three_formats_that_agree_with_pandas(tmp_path: Path) -> None:
    results = fabricate(tmp_path)
    make_tables(results)
    rows = pd.read_csv(results / "tables/grid_top5.csv").set_index(["architecture", "augmentation"])
    for (architecture, augmentation), row in rows.iterrows():
        files = sorted((results / "grid" / f"{architecture}-{augmentation}").glob("seed*/metrics.json"))
        errors = pd.Series([read_json(file)["test_top5_error"] for file in files])
        assert row["n"] == len(errors) == 3
        assert row["mean"] == pytest.approx(errors.mean())
        assert row["std"] == pytest.approx(errors.std())
    assert rows.loc[("vit", "cutmix"), "published"] == 17.32
    best = rows.loc[("vit", "cutmix")]
    shown = f"{best['mean']:.2f} ± {best['std']:.2f} † (17.32)"
    assert shown in (results / "tables/grid_top5.md").read_text()
    tex = shown.replace("±", r"$\pm$").replace("†", r"$\dagger$")
    assert tex in (results / "tables/grid_top5.tex").read_text()
    rows = pd.read_csv(results / "tables/self_supervision.csv").set_index(["method", "metric"])
    found = rows.loc[("simclr_labels1", "test_top1_accuracy")]
    assert (found["n"], found["mean"]) == (3, pytest.approx(61.7))
    text = (results / "tables/self_supervision.md").read_text()
    assert "| Linear probe, 1 % of the labels | 61.70 ± 0.36 | 22.40 ± 0.36 |" in text
    assert "| Fine-tuned, 1 % of the labels | 66.80 ± 0.36 | – |" in text
    names = {path.name for path in (results / "tables").iterdir()}
    grid = ("grid_top1", "grid_top5", "grid_published", "grid_differences", "grid_cost")
    stems = ("self_supervision", *grid, "parameters")
    assert names == {f"{stem}.{suffix}" for stem in stems for suffix in ("csv", "md", "tex")}
