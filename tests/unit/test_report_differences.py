"""Differences between cells: paired by seed, with intervals, corrected for their number, said in words."""

import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from triptych.report.difference_tables import difference_tables
from triptych.report.grid_contrasts import (
    against_baseline,
    against_best,
    best_in_validation,
    between_architectures,
    contrast_rows,
)
from triptych.report.grid_costs import cost_rows, cost_table
from triptych.report.grid_table import BEST, NEAR, marked_estimates, marks_note, unequal_note
from triptych.report.paired import Difference, difference_from, holm, paired_difference, signed
from triptych.report.render_table import markdown
from triptych.report.results import Result

METRIC = "test_top1_error"
ERRORS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=2, max_size=8)


def runs(cell: str, *errors: float, seeds: tuple[int, ...] = (), validation: float = 0.0) -> list[Result]:
    return [
        Result(
            Path(f"results/grid/{cell}/seed{seed}/metrics.json"),
            {
                METRIC: error,
                "test_top5_error": error,
                "validation_top1_error": error + validation,
                "validation_top5_error": error,
                "parameters": 1000,
                "epochs": 2,
                "training_flops": 3e15,
                "images_per_second": 10.0 * (1 + seed),
            },
            {
                "recipe": {"epochs": 2, "augmentation": {"method": cell}},
                "seed": seed,
                "wall_seconds": 60.0,
                "hardware": {"cpu": "another", "threads": 1} if seed == 9 else {"cpu": "a CPU", "threads": 2},
            },
        )
        for seed, error in zip(seeds or range(len(errors)), errors, strict=True)
    ]


def grid(**cells: tuple[float, ...]) -> dict[tuple[str, str], list[Result]]:
    """`row_column=(errors of the seeds)`."""
    named = {tuple(name.split("_")): runs(name.replace("_", "-"), *errors) for name, errors in cells.items()}
    return {(row, column): results for (row, column), results in named.items()}


@given(ERRORS)
def test_a_paired_difference_is_scipys_paired_t_test(errors: list[tuple[float, float]]) -> None:
    ours, theirs = (np.array(side) for side in zip(*errors, strict=True))
    found = paired_difference(runs("a-b", *ours), runs("a-c", *theirs), METRIC)
    assert found.mean == pytest.approx((ours - theirs).mean(), abs=1e-9)
    if np.std(ours - theirs) > 1e-6:
        expected = stats.ttest_rel(ours, theirs)
        interval = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)


def test_only_seeds_that_both_have_are_paired() -> None:
    ours = runs("a-b", 30.0, 31.0, 50.0, seeds=(0, 1, 7))
    theirs = runs("a-c", 20.0, 22.0, 99.0, seeds=(1, 0, 3))
    found = paired_difference(ours, theirs, METRIC)
    assert (found.n, found.mean) == (2, pytest.approx((30 - 22 + 31 - 20) / 2))


def test_one_pair_has_a_difference_and_no_interval() -> None:
    found = paired_difference(runs("a-b", 30.0), runs("a-c", 28.5), METRIC)
    assert (found.n, found.low, found.p, str(found)) == (1, None, None, "+1.50")


def test_without_a_pair_there_is_nothing() -> None:
    apart = paired_difference(runs("a-b", 1.0, seeds=(0,)), runs("a-c", 2.0, seeds=(1,)), METRIC)
    assert apart.n == 0 and str(apart) == "–"


@pytest.mark.parametrize("theirs", [(2.0, 3.0, 4.0), (1.0, 2.0, 3.0)])
def test_pairs_that_all_differ_alike_are_a_tie_of_few_and_no_certainty(theirs: tuple[float, ...]) -> None:
    found = paired_difference(runs("a-b", 1.0, 2.0, 3.0), runs("a-c", *theirs), METRIC)
    assert (found.n, found.low, found.high, found.p) == (3, None, None, None)


@pytest.mark.parametrize(
    ("value", "text"), [(0.6, "+0.60"), (-0.6, "−0.60"), (-0.001, "0.00"), (0.0, "0.00"), (12.345, "+12.35")]
)
def test_signs_are_written_out(value: float, text: str) -> None:
    assert signed(value) == text
    assert str(Difference(value, 3, value - 1, value + 1, 0.5)).startswith(f"{text} [")


def test_holm_by_hand() -> None:
    # Sorted: 0.01 x 4, 0.02 x 3, 0.03 x 2, 0.5 x 1, each at least the one before.
    assert holm([0.02, None, 0.5, 0.01, 0.03]) == [
        pytest.approx(0.06),
        None,
        0.5,
        pytest.approx(0.04),
        pytest.approx(0.06),
    ]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferronis_and_keeps_the_order(values: list[float]) -> None:
    adjusted = [value for value in holm(values) if value is not None]
    for value, corrected in zip(values, adjusted, strict=True):
        assert value <= corrected <= min(1.0, value * len(values)) + 1e-12
    order = sorted(range(len(values)), key=lambda place: values[place])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))


CELLS = grid(
    vit_baseline=(52.0, 51.0, 53.0),
    vit_mixup=(51.9, 51.2, 52.8),
    vit_cutmix=(43.1, 42.0, 44.0),
    net_baseline=(26.0, 26.1, 25.9),
    net_mixup=(25.4, 25.5, 25.3),
    net_cutmix=(25.3, 25.6, 25.2),
)


def test_each_family_holds_the_right_cells_against_each_other() -> None:
    pairs = {(contrast.ours, contrast.theirs) for contrast in against_baseline(CELLS, METRIC, "baseline")}
    assert pairs == {
        ((row, column), (row, "baseline")) for row in ("vit", "net") for column in ("mixup", "cutmix")
    }
    assert best_in_validation(CELLS, METRIC) == {"vit": ("vit", "cutmix"), "net": ("net", "cutmix")}
    assert {contrast.theirs[1] for contrast in against_best(CELLS, METRIC)} == {"cutmix"}
    between = {(contrast.ours, contrast.theirs) for contrast in between_architectures(CELLS, METRIC)}
    assert between == {(("net", column), ("vit", column)) for column in ("baseline", "mixup", "cutmix")}


def test_the_table_marks_the_best_in_validation_and_what_cannot_be_told_from_it() -> None:
    marks = {cell: value.mark for cell, value in marked_estimates(CELLS, METRIC).items()}
    assert marks["vit", "cutmix"] == marks["net", "cutmix"] == BEST
    assert marks["net", "mixup"] == NEAR  # 0.03 points apart
    assert marks["vit", "baseline"] == marks["vit", "mixup"] == ""  # 9 points apart
    assert "4 comparisons" in marks_note(CELLS, METRIC)


def test_the_best_is_chosen_on_validation_images_even_if_another_is_better_on_test_images() -> None:
    cells = {
        ("net", "baseline"): runs("net-baseline", 20.0, 21.0, validation=9.0),
        ("net", "mixup"): runs("net-mixup", 22.0, 23.5, validation=0.0),
    }
    assert best_in_validation(cells, METRIC) == {"net": ("net", "mixup")}


def test_ties_are_told_from_intervals() -> None:
    cells = grid(net_baseline=(20.0, 21.0), net_mixup=(19.0, 20.0), net_cutmix=(18.0, 20.5))
    titles = {"baseline": "B", "mixup": "M", "cutmix": "C"}
    text = markdown(difference_tables(cells, METRIC, architectures={"net": "Net"}, augmentations=titles)[0])
    assert "| Net | −1.00 | −1.25" in text.replace("\\", "")
    assert "for the 1 comparisons" in text and "Without an interval: all pairs differ" in text


def test_architectures_of_the_same_title_keep_their_own_rows() -> None:
    cells = grid(a_baseline=(20.0,), a_mixup=(19.0,), b_baseline=(30.0,), b_mixup=(28.0,))
    titles = {"architectures": {"a": "ViT", "b": "ViT"}, "augmentations": {"baseline": "B", "mixup": "M"}}
    assert difference_tables(cells, METRIC, **titles)[0].rows == (("ViT", "−1.00"), ("ViT", "−2.00"))


def test_cells_without_a_test_are_not_left_to_pass_as_different() -> None:
    cells = grid(net_baseline=(20.0, 21.0), net_mixup=(19.0, 20.0), net_cutmix=(18.0, 18.5))
    assert marks_note(cells, METRIC).endswith("the 2 comparisons of this table).")
    cells = grid(net_baseline=(20.0, 21.0), net_mixup=(19.0, 19.5), net_cutmix=(18.0, 18.5))
    note = marks_note(cells, METRIC)
    assert "the 1 comparisons" in note and "1 without a mark are not tested: all seeds differ by" in note


def test_a_row_whose_cells_were_trained_differently_says_so() -> None:
    cells = grid(net_baseline=(20.0, 21.0), net_mixup=(19.0, 20.5))
    cells |= grid(vit_baseline=(40.0, 41.0), vit_mixup=(39.0, 39.5))
    assert unequal_note(cells, {"net": "Net", "vit": "ViT"}) == ""
    for result in cells["net", "mixup"]:
        result.provenance["recipe"] |= {"epochs": 4, "learning_rate": 0.1}
    note = unequal_note(cells, {"net": "Net", "vit": "ViT"})
    assert note.endswith("between a row's cells: Net also in epochs, learning rate.")
    titles = {"architectures": {"net": "Net", "vit": "V"}, "augmentations": {"baseline": "B", "mixup": "M"}}
    tables = difference_tables(cells, METRIC, **titles)
    assert [note in table.notes for table in tables] == [True, True, False]


def test_a_published_number_has_no_spread_of_its_own() -> None:
    errors = [24.0, 25.0, 24.4]
    ours = difference_from(runs("net-mixup", *errors), 26.0, METRIC)
    theirs = stats.ttest_1samp(errors, 26.0)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low - 26.0, interval.high - 26.0))
    assert ours.p == pytest.approx(theirs.pvalue) and ours.mean == pytest.approx(-1.5333333)


def test_what_is_not_a_number_has_no_interval() -> None:
    spoilt = paired_difference(runs("a", 20.0, math.nan), runs("b", 19.0, 20.0), METRIC)
    assert math.isnan(spoilt.mean) and spoilt.low is None and str(spoilt) == "–"


def test_cells_that_were_left_out_are_held_against_nothing() -> None:
    cells = grid(net_mixup=(19.0, 20.5), net_cutmix=(18.0, 18.5))  # no baseline
    cells |= grid(vit_baseline=(40.0, 41.0), vit_mixup=(39.0, 39.5), mixer_mixup=(30.0, 31.0))
    pairs = [(contrast.ours, contrast.theirs) for contrast in against_baseline(cells, METRIC, "baseline")]
    assert pairs == [(("vit", "mixup"), ("vit", "baseline"))]
    assert set(best_in_validation(cells, METRIC)) == {"net", "vit"}  # mixer has no choice
    between = [(contrast.ours, contrast.theirs) for contrast in between_architectures(cells, METRIC)]
    assert {ours[1] for ours, _ in between} == {"mixup"} and len(between) == 3
    titles = {name: name for name in ("baseline", "mixup", "cutmix")}
    table = difference_tables(
        cells, METRIC, architectures=dict.fromkeys(("net", "vit", "mixer"), "x"), augmentations=titles
    )[0]
    assert table.rows == (("x", "−1.25 [−4.43, +1.93]", "not run"),)


def test_without_a_baseline_the_first_column_is_held_against_even_where_it_is_left_out() -> None:
    cells = grid(net_cutmix=(18.0, 18.1), vit_mixup=(39.0, 40.0), vit_cutmix=(38.0, 39.0))
    titles = {"architectures": {"net": "Net", "vit": "ViT"}, "augmentations": {"mixup": "M", "cutmix": "C"}}
    table = difference_tables(cells, METRIC, **titles)[0]
    assert table.caption.endswith("minus that of M") and table.rows == (("ViT", "−1.00"),)
    assert "Not here, as M was not run: Net." in table.notes
    assert marks_note(cells, METRIC).endswith("An architecture with one cell has no mark.")


def test_one_seed_claims_nothing() -> None:
    cells = grid(net_baseline=(20.0,), net_mixup=(10.0,))
    assert [contrast.distinguishable for contrast in against_best(cells, METRIC)] == [None]
    assert marks_note(cells, METRIC).endswith(
        "So few seeds cannot say which other errors are distinguishable from its."
    )
    rows = contrast_rows(cells, [METRIC], "baseline")
    assert rows["p"].isna().all() and list(rows["against"]) == ["baseline", "best_in_validation"]


def test_a_grid_of_one_cell_has_no_differences() -> None:
    cells = grid(net_baseline=(20.0, 21.0))
    titles = {"architectures": {"net": "Net"}, "augmentations": {"baseline": "Baseline"}}
    assert difference_tables(cells, METRIC, **titles) == []
    assert marks_note(cells, METRIC) == "" and contrast_rows(cells, [METRIC], "baseline").empty


def test_costs_are_means_over_seeds_with_every_machine_that_was_used() -> None:
    cells = {
        ("net", "baseline"): runs("net-baseline", 20.0, 22.0),
        ("net", "mixup"): runs("net-mixup", 19.0, seeds=(9,)),
    }
    titles = {
        "architectures": {"net": "Net"},
        "augmentations": {"baseline": "Baseline", "mixup": "Mixup", "cutmix": "CutMix"},
    }
    rows = cost_rows(cells, **titles).set_index(["architecture", "augmentation"])
    assert rows.loc[("net", "baseline"), "images_per_second"] == 15.0
    assert rows.loc[("net", "baseline"), "training_flops"] == 3e15
    assert list(rows["hardware"])[:2] == ["a CPU; 2 threads a training", "another; 1 thread a training"]
    text = markdown(cost_table(cells, **titles))
    assert "| Net, Baseline | 21.00 ± 1.41 | 21.00 ± 1.41 | 1,000 | 2 | 3 | 1 min 0 s | 15 | 1 |" in text
    assert "| Net, Mixup | 19.00 | 19.00 | 1,000 | 2 | 3 | 1 min 0 s | 100 | 2 |" in text
    assert "| Net, CutMix | not run | – |" in text and rows.loc[("net", "cutmix"), "n"] == 0
    assert "Machine 1: a CPU; 2 threads a training." in text and "Machine 2: another; 1 thread" in text


def test_runs_that_agree_to_the_last_image_are_marked_as_indistinguishable() -> None:
    cells = grid(net_baseline=(20.0, 21.0, 22.0), net_mixup=(20.0, 21.0, 22.0), net_cutmix=(30.0, 31.1, 32.3))
    marks = {cell[1]: value.mark for cell, value in marked_estimates(cells, METRIC).items()}
    assert marks == {"baseline": BEST, "mixup": NEAR, "cutmix": ""}
    assert "1 comparisons" in marks_note(cells, METRIC)
    del cells["net", "cutmix"]
    assert marks_note(cells, METRIC).endswith(f"{NEAR}: not distinguishable from it on test images.")
