"""Statistics over seeds: estimates, paired differences with intervals, and Holm's correction."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_results import runs
from scipy import stats

from triptych.report.statistics import (
    Difference,
    Noise,
    difference_of,
    estimate,
    holm,
    least_detectable,
    paired_difference,
    pooled_noise,
    signed,
    spread_note,
)

METRIC = "test_top1_error"
ERRORS = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=3, max_size=8)


@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_mean_and_deviation_are_those_of_numpy_with_n_minus_one(errors: list[float]) -> None:
    value = estimate(runs("vit-mixup", *errors), METRIC)
    assert value.n == len(errors)
    assert value.mean == pytest.approx(np.mean(errors), abs=1e-9)
    assert value.std == pytest.approx(np.std(errors, ddof=1), abs=1e-9)


def test_a_single_seed_has_no_deviation_and_says_so() -> None:
    value = estimate(runs("vit-mixup", 48.7), METRIC)
    assert (value.n, value.std, str(value)) == (1, None, "48.70")
    assert "n = 1" in spread_note([value])


def test_the_note_gives_the_range_of_the_seeds() -> None:
    values = [estimate(runs("vit-mixup", *range(n)), METRIC) for n in (3, 2, 5)]
    assert spread_note(values[:1]).endswith("over n = 3 seeds.")
    assert spread_note(values).endswith("over n = 2 to 5 seeds.")


def test_a_diverged_run_shows_as_nan_and_not_as_a_good_number() -> None:
    results = runs("vit-mixup", 48.0, 50.0)
    results[1].values[METRIC] = None
    value = estimate(results, METRIC)
    assert math.isnan(value.mean)
    assert str(value) == "nan ± nan"


@given(ERRORS)
def test_the_difference_of_two_cells_is_scipys_paired_t_test(errors: list[tuple[float, float]]) -> None:
    ours, theirs = (np.array(side) for side in zip(*errors, strict=True))
    found = _difference([ours, theirs])
    assert found.mean == pytest.approx((ours - theirs).mean(), abs=1e-9)
    if np.std(ours - theirs) > 1e-6:
        expected = stats.ttest_rel(ours, theirs)
        interval = expected.confidence_interval(0.95)
        assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-6)


def _difference(cells: Sequence[Sequence[float]]) -> Difference:
    """The first of `cells` minus the second, with the noise of all."""
    results = [runs(f"a-{number}", *errors) for number, errors in enumerate(cells)]
    return paired_difference(results[0], results[1], METRIC, pooled_noise(results, METRIC))


def test_the_interval_of_three_pairs_by_hand() -> None:
    """Differences 1, 2 and 3: mean 2, standard error 1/sqrt(3), quantile 4.3027 of two degrees of freedom."""
    found = _difference([(11.0, 12.0, 13.0), (10.0, 10.0, 10.0)])
    half = 4.30265 / math.sqrt(3)
    assert (found.low, found.high) == pytest.approx((2 - half, 2 + half), abs=1e-4)
    assert found.p == pytest.approx(0.0742, abs=1e-4)


def test_the_noise_of_a_row_is_the_error_of_a_block_design_by_hand() -> None:
    """Four cells, three seeds: what remains after the means of cells and seeds, over 3 x 2 degrees."""
    errors = np.random.default_rng(0).normal(30, 1, (4, 3))
    rest = errors - errors.mean(1, keepdims=True) - errors.mean(0) + errors.mean()
    noise = pooled_noise([runs(f"a-{row}", *values) for row, values in enumerate(errors)], METRIC)
    assert noise == Noise(pytest.approx(math.sqrt((rest**2).sum() / 6)), 6)
    missing = pooled_noise(
        [runs(f"a-{row}", *values[: 3 - row // 3]) for row, values in enumerate(errors)], METRIC
    )
    assert missing is not None and missing.degrees == 5


@pytest.mark.parametrize("errors", [[(1.0, 2.0, 3.0)], [(1.0,), (2.0,)], [(1.0, math.nan, 2.0)] * 2])
def test_without_residuals_there_is_no_noise(errors: list[tuple[float, ...]]) -> None:
    assert pooled_noise([runs(f"a-{row}", *values) for row, values in enumerate(errors)], METRIC) is None


def test_pooling_over_a_row_finds_smaller_differences_than_a_pair_alone() -> None:
    noise = Noise(0.2, 2)
    assert least_detectable(Noise(0.2, 6), 3, 3) < 0.5 * least_detectable(noise, 3, 3)


def test_the_least_detectable_difference_is_found_in_four_of_five_simulated_studies() -> None:
    generator, std, seeds = np.random.default_rng(0), 0.3, 3
    least = least_detectable(Noise(std, 6), seeds, 1)
    found = 0
    for _ in range(2000):
        errors = generator.normal(0, std, (4, seeds)) + generator.normal(0, 1, seeds)
        rest = errors - errors.mean(1, keepdims=True) - errors.mean(0) + errors.mean()
        error = math.sqrt((rest**2).sum() / 6 * 2 / seeds)
        found += abs(least + errors[0].mean() - errors[1].mean()) > error * stats.t.ppf(0.975, 6)
    assert found / 2000 == pytest.approx(0.8, abs=0.05)


def test_only_seeds_that_both_have_are_paired() -> None:
    ours = runs("a-b", 30.0, 31.0, 50.0, seeds=(0, 1, 7))
    theirs = runs("a-c", 20.0, 22.0, 99.0, seeds=(1, 0, 3))
    found = paired_difference(ours, theirs, METRIC, None)
    assert (found.n, found.mean) == (2, pytest.approx((30 - 22 + 31 - 20) / 2))


def test_one_pair_has_a_difference_and_no_interval() -> None:
    found = _difference([(30.0,), (28.5,)])
    assert (found.n, found.low, found.p, str(found)) == (1, None, None, "+1.50")


def test_without_a_pair_there_is_no_difference() -> None:
    apart = paired_difference(runs("a-b", 1.0, seeds=(0,)), runs("a-c", 2.0, seeds=(1,)), METRIC, None)
    assert apart.n == 0 and str(apart) == "–"


@pytest.mark.parametrize("theirs", [(2.0, 3.0, 4.0), (1.0, 2.0, 3.0)])
def test_pairs_that_all_differ_by_the_same_amount_have_no_interval(theirs: tuple[float, ...]) -> None:
    found = _difference([(1.0, 2.0, 3.0), theirs])
    assert (found.n, found.low, found.high, found.p) == (3, None, None, None)


def test_a_published_number_has_no_spread_of_its_own() -> None:
    errors = [24.0, 25.0, 24.4]
    ours = difference_of([error - 26.0 for error in errors])
    theirs = stats.ttest_1samp(errors, 26.0)
    interval = theirs.confidence_interval(0.95)
    assert (ours.low, ours.high) == pytest.approx((interval.low - 26.0, interval.high - 26.0))
    assert ours.p == pytest.approx(theirs.pvalue) and ours.mean == pytest.approx(-1.5333333)


def test_nan_has_no_interval() -> None:
    found = _difference([(20.0, math.nan, 21.0), (19.0, 20.0, 21.0)])
    assert math.isnan(found.mean) and found.low is None and str(found) == "–"


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
def test_holm_is_between_no_correction_and_bonferronis_and_keeps_the_order(values: list[float]) -> None:
    adjusted = [value for value in holm(values) if value is not None]
    for value, corrected in zip(values, adjusted, strict=True):
        assert value <= corrected <= min(1.0, value * len(values)) + 1e-12
    order = sorted(range(len(values)), key=lambda place: values[place])
    assert all(adjusted[a] <= adjusted[b] for a, b in pairwise(order))
