"""Part 2's tables: errors in the published layout and against it, and contrasts."""

import math

import pytest
from report_results import CIFAR100, grid_of, runs

from triptych.report.part2_contrasts import (
    against_baseline,
    against_best,
    between_architectures,
    contrast_rows,
    contrast_tables,
    unequal_note,
)
from triptych.report.part2_grid import Grid, group_cells
from triptych.report.part2_tables import (
    BEST,
    NEAR,
    error_rows,
    error_table,
    marked_estimates,
    marks_note,
    published_rows,
    published_tables,
)
from triptych.report.tables import latex, markdown

METRIC = "test_top1_error"
SHAPES = {"name": "shapes", "counts": {"train": 4_000, "test": 1_000}}


def test_cells_are_found_by_their_folder_even_if_names_hold_dashes() -> None:
    results = runs("my-net-cut-mix", 1.0) + runs("my-net-mixup", 2.0)
    assert list(group_cells(results, ["my-net"], ["cut-mix"])) == [("my-net", "cut-mix")]


def test_every_published_grid_error_is_found_and_an_added_architecture_has_none() -> None:
    grid = grid_of({"resnet18-cutmix": [24.0], "mixer-cutmix": [40.0]})
    estimates = grid.estimates(METRIC)
    assert estimates["resnet18", "cutmix"].published == 24.57
    assert estimates["mixer", "cutmix"].published is None
    text = markdown(error_table(grid, METRIC))
    assert "| resnet18 | 24.00 (24.57) |" in text
    assert "| mixer | 40.00 (–) |" in text


def test_a_cell_that_was_left_out_is_not_run_in_its_table() -> None:
    text = markdown(error_table(grid_of({"resnet18-baseline": [26.0], "vit-cutmix": [43.0]}), METRIC))
    assert "| resnet18 | 26.00 (26.01) | not run |" in text
    assert "| vit | not run | 43.00 (43.67) |" in text


def test_every_published_error_is_beside_ours_and_what_was_not_run_says_so() -> None:
    cells = {
        (row, "cutmix"): runs(f"{row}-cutmix", *errors)
        for row, errors in {"resnet18": (24.0, 25.0, 24.5), "vit": (44.0,), "mixer": (1.0,)}.items()
    }
    for results in cells.values():
        for result in results:
            result.values["test_top5_error"] = 50.0
    titles = {"architectures": {"resnet18": "ResNet18"}, "augmentations": {"cutmix": "CutMix"}}
    grid = grid_of(cells, **titles)
    top1, top5 = published_tables(grid)
    text = markdown(top1)
    assert "| ResNet18, CutMix | 24.57 | 24.50 ± 0.50 | −0.07 \\[−1.31, +1.17\\] | lower |" in text
    assert "| ViT, CutMix | 43.67 | 44.00 | +0.33 | not lower |" in text
    assert "| ResNet18, Mixup | 25.73 | not run | – | – |" in text
    assert len(top1.rows) == len(top5.rows) == 8 and "Mixer" not in text and not top1.notes
    text = markdown(top5)
    assert "| ResNet18, CutMix | 6.55 | 50.00 ± 0.00 | +43.45 | not lower |" in text
    assert "Of the 16 published errors, ours is lower in 1, not lower in 3; 12 belong to" in text
    assert "minus the published error; 0 lie below zero as a whole." in text
    rows = published_rows(grid).set_index(["architecture", "augmentation", "metric"])
    assert rows.loc[("vit", "cutmix", "test_top1_error"), "difference"] == pytest.approx(0.33)
    assert rows["mean"].notna().sum() == 4 and rows["high"].notna().sum() == 1
    elsewhere = grid_of(cells, **titles, dataset=SHAPES)
    assert "16 belong to cells not run" in markdown(published_tables(elsewhere)[1])


def test_long_form_has_a_row_a_cell_and_empty_fields_for_what_is_missing() -> None:
    columns = {name: name for name in ("mixup", "mine", "cutmix")}
    rows = error_rows(grid_of({"vit-mixup": [48.0, 50.0], "vit-mine": [40.0]}, augmentations=columns), METRIC)
    assert list(rows.columns[:6]) == ["architecture", "augmentation", "n", "mean", "std", "published"]
    first, second, third = rows.to_dict("records")
    assert (first["n"], first["mean"], first["published"]) == (2, 49.0, 48.7)
    assert first["std"] == pytest.approx(math.sqrt(2))
    assert math.isnan(second["std"]) and math.isnan(second["published"])
    assert third["n"] == 0 and math.isnan(third["mean"]) and third["published"] == 43.67


def test_another_data_set_is_called_not_comparable_wherever_published_numbers_are_shown() -> None:
    table = error_table(grid_of({"vit-mixup": [48.0]}, dataset=SHAPES), METRIC)
    for text in (markdown(table), latex(table)):
        assert "Not comparable" in text
        assert "published (CIFAR-100)" in text


def test_networks_that_the_report_lacks_have_no_published_number_beside_them() -> None:
    for dataset in (CIFAR100, SHAPES):
        table = error_table(grid_of({"mine-mixup": [48.0]}, dataset=dataset), METRIC)
        assert "published (" not in markdown(table)


CELLS = grid_of(
    {
        "vit-baseline": (52.0, 51.0, 53.0),
        "vit-mixup": (51.9, 51.2, 52.8),
        "vit-cutmix": (43.1, 42.0, 44.0),
        "net-baseline": (26.0, 26.1, 25.9),
        "net-mixup": (25.4, 25.5, 25.3),
        "net-cutmix": (25.3, 25.6, 25.2),
    }
)


def test_each_family_contrasts_the_right_cells() -> None:
    pairs = {(contrast.cell, contrast.reference) for contrast in against_baseline(CELLS, METRIC)}
    assert pairs == {
        ((row, column), (row, "baseline")) for row in ("vit", "net") for column in ("mixup", "cutmix")
    }
    assert CELLS.best_in_validation(METRIC) == {"vit": ("vit", "cutmix"), "net": ("net", "cutmix")}
    assert {contrast.reference[1] for contrast in against_best(CELLS, METRIC)} == {"cutmix"}
    between = {(contrast.cell, contrast.reference) for contrast in between_architectures(CELLS, METRIC)}
    assert between == {(("net", column), ("vit", column)) for column in ("baseline", "mixup", "cutmix")}


def test_the_table_marks_the_best_in_validation_and_what_is_not_distinguishable_from_it() -> None:
    marks = {cell: value.mark for cell, value in marked_estimates(CELLS, METRIC).items()}
    assert marks["vit", "cutmix"] == marks["net", "cutmix"] == BEST
    assert marks["net", "mixup"] == NEAR  # 0.03 points apart
    assert marks["vit", "baseline"] == marks["vit", "mixup"] == ""  # 9 points apart
    assert "4 comparisons" in marks_note(CELLS, METRIC)


def test_the_best_is_chosen_on_validation_images_even_if_another_is_better_on_test_images() -> None:
    grid = grid_of(
        {
            ("net", "baseline"): runs("net-baseline", 20.0, 21.0, validation=9.0),
            ("net", "mixup"): runs("net-mixup", 22.0, 23.5, validation=0.0),
        }
    )
    assert grid.best_in_validation(METRIC) == {"net": ("net", "mixup")}


def test_architectures_of_the_same_title_keep_their_own_rows() -> None:
    grid = grid_of(
        {"a-baseline": (20.0,), "a-mixup": (19.0,), "b-baseline": (30.0,), "b-mixup": (28.0,)},
        architectures={"a": "ViT", "b": "ViT"},
    )
    assert contrast_tables(grid, METRIC)[0].rows == [("ViT", "−1.00"), ("ViT", "−2.00")]


def test_the_note_counts_cells_that_no_test_compares() -> None:
    cells = {"net-baseline": (20.0, 21.0, 20.2), "net-mixup": (19.0, 20.1, 19.4), "net-cutmix": (28.0, 28.5)}
    note = marks_note(grid_of(cells), METRIC)
    assert "1 without a mark are not tested: fewer than 3 pairs." in note
    contrasts = contrast_tables(grid_of(cells), METRIC)[0]
    text = markdown(contrasts).replace("\\", "")
    assert "| net | −0.90 [" in text and "| +7.75 |" in text
    assert "for the 1 comparison " in text and "Without an interval: fewer than 3 pairs." in text


@pytest.mark.parametrize("seeds", [1, 2])
def test_with_one_or_two_seeds_there_is_no_interval_no_test_and_no_mark_but_the_best(seeds: int) -> None:
    grid = grid_of({"net-baseline": (20.0, 21.0)[:seeds], "net-mixup": (19.0, 20.1)[:seeds]})
    rows = contrast_rows(grid)
    assert rows[["low", "high", "p", "least_detectable"]].isna().all(axis=None)
    assert [value.mark for value in marked_estimates(grid, METRIC).values()] == ["", BEST]
    assert markdown(published_tables(grid)[0]).count("[") == 0


def test_the_least_detectable_difference_stands_beside_the_marks() -> None:
    tested = against_best(CELLS, METRIC)
    least = sorted({round(contrast.detectable or 0, 2) for contrast in tested})
    assert len(least) == 2 and least[0] < 0.8 * least[1]  # the ViT's runs vary more than the other's
    text = f"A true difference of {least[0]:.2f} to {least[1]:.2f} percentage points is detected"
    assert text in marks_note(CELLS, METRIC)
    assert text in markdown(contrast_tables(CELLS, METRIC)[1])


def test_a_row_whose_cells_were_trained_differently_says_so() -> None:
    grid = grid_of(
        {
            "net-baseline": (20.0, 21.0),
            "net-mixup": (19.0, 20.5),
            "vit-baseline": (40.0, 41.0),
            "vit-mixup": (39.0, 39.5),
        }
    )
    assert unequal_note(grid) == ""
    for result in grid.cells["net", "mixup"]:
        result.provenance["recipe"] |= {"epochs": 4, "learning_rate": 0.1}
    note = unequal_note(grid)
    assert note.endswith("more than the augmentation. net also in epochs, learning rate.")
    tables = contrast_tables(grid, METRIC)
    assert [note in table.notes for table in tables] == [True, True, False]


def test_cells_that_were_left_out_have_no_contrast() -> None:
    grid = grid_of(
        {
            "net-mixup": (19.0, 20.5),  # no baseline
            "net-cutmix": (18.0, 18.5),
            "vit-baseline": (40.0, 41.0),
            "vit-mixup": (39.0, 39.5),
            "mixer-mixup": (30.0, 31.0),
        },
        architectures=dict.fromkeys(("net", "vit", "mixer"), "x"),
        augmentations={name: name for name in ("baseline", "mixup", "cutmix")},
    )
    pairs = [(contrast.cell, contrast.reference) for contrast in against_baseline(grid, METRIC)]
    assert pairs == [(("vit", "mixup"), ("vit", "baseline"))]
    assert set(grid.best_in_validation(METRIC)) == {"net", "vit"}  # mixer has no choice
    between = [(contrast.cell, contrast.reference) for contrast in between_architectures(grid, METRIC)]
    assert {ours[1] for ours, _ in between} == {"mixup"} and len(between) == 3
    assert contrast_tables(grid, METRIC)[0].rows == [("x", "−1.25", "not run")]


def test_without_a_baseline_the_first_column_replaces_it_even_where_it_is_left_out() -> None:
    grid = grid_of(
        {"net-cutmix": (18.0, 18.1), "vit-mixup": (39.0, 40.0), "vit-cutmix": (38.0, 39.0)},
        architectures={"net": "Net", "vit": "ViT"},
        augmentations={"mixup": "M", "cutmix": "C"},
    )
    table = contrast_tables(grid, METRIC)[0]
    assert table.caption.endswith("minus that of M") and table.rows == [("ViT", "−1.00")]
    assert "Not here, as M was not run: Net." in table.notes
    assert marks_note(grid, METRIC).endswith("An architecture with one cell has no mark.")


def test_more_than_one_evaluation_on_the_test_images_is_said_of_the_cell() -> None:
    grid = grid_of({"net-baseline": (20.0, 21.0), "net-mixup": (19.0, 20.0)})
    once = "Each run was evaluated on the test images once."
    assert once in error_table(grid, METRIC).notes
    grid.cells["net", "mixup"][1].values["test_looks"] = 3
    notes = error_table(grid, METRIC).notes
    assert once not in notes and any(
        note.startswith("Evaluated on the test images more than once: net, mixup (3 times).")
        for note in notes
    )


def test_one_seed_claims_nothing() -> None:
    grid = grid_of({"net-baseline": (20.0,), "net-mixup": (10.0,)})
    assert [contrast.distinguishable for contrast in against_best(grid, METRIC)] == [None]
    assert marks_note(grid, METRIC).endswith(
        "With so few seeds, no test can tell which other errors are distinguishable from it."
    )
    rows = contrast_rows(grid)
    rows = rows[rows["metric"] == METRIC]
    assert rows["p"].isna().all() and list(rows["against"]) == ["baseline", "best_in_validation"]


def test_a_grid_of_one_cell_has_no_differences() -> None:
    grid = grid_of({"net-baseline": (20.0, 21.0)})
    assert contrast_tables(grid, METRIC) == []
    assert marks_note(grid, METRIC) == "" and contrast_rows(grid).empty


def test_runs_that_agree_to_the_last_image_are_marked_as_indistinguishable() -> None:
    cells = {
        "net-baseline": (20.0, 21.0, 22.0),
        "net-mixup": (20.0, 21.0, 22.0),
        "net-cutmix": (30.0, 31.1, 32.3),
    }
    grid = grid_of(cells)
    marks = {cell[1]: value.mark for cell, value in marked_estimates(grid, METRIC).items()}
    assert marks == {"baseline": BEST, "mixup": NEAR, "cutmix": ""}
    assert "2 comparisons " in marks_note(grid, METRIC)


def test_a_grid_takes_titles_of_the_report_for_cells_that_it_does_not_have() -> None:
    grid = Grid({}, {"resnet18": "Net"}, {}, grid_of({"net-mixup": [1.0]}, dataset=CIFAR100).dataset)
    assert grid.title(("resnet18", "cutmix")) == "Net, CutMix"
