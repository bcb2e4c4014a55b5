"""Statistics over seeds: mean and deviation, paired differences, and tests corrected for their number."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import t

from triptych.report.results import WARNED, Result

SIGNIFICANCE_LEVEL = 0.05
POWER = 0.8
MIN_SEEDS = 3  # with fewer, an interval says nothing: that of two pairs is 13 times their standard error wide
ROUNDING = 1e-9  # percentage points; a standard deviation below this counts as 0


@dataclass(frozen=True)
class Estimate:
    """Mean and sample standard deviation (n - 1) over seeds; `std` is None for a single seed.

    `published` is the published value, `source` names the run, `mark` is printed after the number.
    """

    mean: float
    std: float | None
    n: int
    published: float | None = None
    source: str | None = None
    mark: str = ""

    def numbers(self) -> dict[str, Any]:
        """Columns of a long table."""
        return {"n": self.n, "mean": self.mean, "std": self.std, "published": self.published}

    def marked(self, mark: str) -> "Estimate":
        """The same with a further mark, which may be empty."""
        return replace(self, mark=" ".join(filter(None, dict.fromkeys((self.mark, mark)))))

    def __str__(self) -> str:
        """Two decimals, as in `26.30 ± 0.41`."""
        spread = "" if self.std is None else f" ± {self.std:.2f}"
        return f"{decimals(self.mean)}{spread}{f' {self.mark}' if self.mark else ''}"


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one run's metric that its cell and its seed do not explain.

    `degrees` are the degrees of freedom of the estimate.
    """

    std: float
    degrees: int


@dataclass(frozen=True)
class Difference:
    """Mean of `n` paired differences, or NaN without a pair.

    `low` and `high` are the ends of the 95 % confidence interval of the mean, `p` is the two-sided p value of
    the t test (Student, The Probable Error of a Mean, 1908). All three are None for fewer than `MIN_SEEDS`
    pairs, and where nothing varies: errors are counts, so a few equal differences occur by chance.
    """

    mean: float
    n: int
    low: float | None = None
    high: float | None = None
    p: float | None = None

    def __str__(self) -> str:
        """Two decimals, as in `−0.60 [−0.85, −0.35]`."""
        if self.low is None or self.high is None:
            return signed(self.mean)
        return f"{signed(self.mean)} [{signed(self.low)}, {signed(self.high)}]"


def decimals(value: float) -> str:
    """`26.30`, `−0.60` with a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def signed(value: float) -> str:
    """`+0.60`, `−0.60`, `0.00`; `–` for NaN."""
    if math.isnan(value):
        return "–"
    text = decimals(value)
    return "0.00" if text.endswith("0.00") and abs(value) < 1 else text if value < 0 else f"+{text}"


def estimate(results: Sequence[Result], metric: str, *, published: float | None = None) -> Estimate:
    """Estimate `metric` from the result files of all seeds of one run."""
    values = [result.number(metric) for result in results]
    warned = any(result.warnings for result in results)
    return estimate_of(values, published=published, source=results[0].source).marked(WARNED if warned else "")


def estimate_of(
    values: Sequence[float], *, published: float | None = None, source: str | None = None
) -> Estimate:
    """Estimate a metric from its values of all seeds of one run."""
    finite = all(map(math.isfinite, values))
    std = None if len(values) < 2 else statistics.stdev(values) if finite else math.nan
    return Estimate(statistics.fmean(values), std, len(values), published, source)


def pooled_noise(cells: Iterable[Sequence[Result]], metric: str) -> Noise | None:
    """Noise of `metric` pooled over cells: residuals of the model value = cell + seed, fitted to all runs.

    Three seeds of a pair of cells leave two degrees of freedom, those of a row of four cells leave six. This
    is the error of a randomised block design (Montgomery, Design and Analysis of Experiments, chapter 4). It
    assumes that all cells vary equally. Cells with a diverged run are left out. None if nothing is left to
    vary: one seed, one cell, or no residuals.
    """
    values = [[(result.seed, result.number(metric)) for result in results] for results in cells]
    values = [runs for runs in values if all(math.isfinite(value) for _, value in runs)]
    observed = np.array([value for runs in values for _, value in runs])
    cell_of = np.repeat(np.arange(len(values)), [len(runs) for runs in values])
    seeds, seed_of = np.unique([seed for runs in values for seed, _ in runs], return_inverse=True)
    model = np.hstack([np.eye(len(values))[cell_of], np.eye(len(seeds))[seed_of]])
    solution, _, rank, _ = np.linalg.lstsq(model, observed, rcond=None)
    degrees = len(observed) - int(rank)
    if degrees < 1:
        return None
    std = float(np.linalg.norm(observed - model @ solution)) / math.sqrt(degrees)
    return Noise(std, degrees) if std > ROUNDING else None


def paired_difference(
    results: Sequence[Result], reference: Sequence[Result], metric: str, noise: Noise | None
) -> Difference:
    """`metric` of results minus that of a reference, for the seeds that both have.

    The variance of each pair is twice that of `noise` (see `pooled_noise`).
    """
    other = {result.seed: result.number(metric) for result in reference}
    pairs = [result.number(metric) - other[result.seed] for result in results if result.seed in other]
    return _mean_difference(pairs, noise and Noise(noise.std * math.sqrt(2), noise.degrees))


def difference_of(values: Sequence[float]) -> Difference:
    """The mean of differences, each of another seed; their own variance is that of the test."""
    std = statistics.stdev(values) if len(values) > 1 and all(map(math.isfinite, values)) else 0.0
    return _mean_difference(values, Noise(std, len(values) - 1) if std > ROUNDING else None)


def _mean_difference(differences: Sequence[float], noise: Noise | None) -> Difference:
    n, mean = len(differences), statistics.fmean(differences) if differences else math.nan
    if n < MIN_SEEDS or not math.isfinite(mean) or noise is None:
        return Difference(mean, n)
    error = noise.std / math.sqrt(n)
    half = error * float(t.ppf(1 - SIGNIFICANCE_LEVEL / 2, noise.degrees))
    return Difference(mean, n, mean - half, mean + half, 2 * float(t.sf(abs(mean) / error, noise.degrees)))


def least_detectable(noise: Noise, pairs: int, comparisons: int) -> float:
    """The true difference that a paired test finds with a probability of `POWER`.

    The level is divided by the number of comparisons (Bonferroni): Holm's correction, which starts with the
    same level, finds at least as much.
    """
    level = 1 - SIGNIFICANCE_LEVEL / 2 / comparisons
    quantiles = float(t.ppf(level, noise.degrees)) + float(t.ppf(POWER, noise.degrees))
    return noise.std * math.sqrt(2 / pairs) * quantiles


def holm(values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted for multiple comparisons, in the same order; None stays None and does not count.

    Rejecting where the adjusted value is below `SIGNIFICANCE_LEVEL` keeps the family-wise error rate at or
    below that level, whether or not the tests are independent (Holm, A Simple Sequentially Rejective Multiple
    Test Procedure, 1979).
    """
    order = sorted((value, index) for index, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    largest = 0.0
    for rank, (value, index) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * value))
        adjusted[index] = largest
    return adjusted


def count_range(counts: Iterable[int]) -> str:
    """`3`, or `2 to 3` where the counts differ."""
    counts = sorted(counts)
    return " to ".join(dict.fromkeys((str(counts[0]), str(counts[-1]))))


def arrow(metric: str) -> str:
    """`↑` if higher is better, `↓` if lower is: errors and losses."""
    return "↓" if metric.endswith(("error", "loss")) else "↑"


def comparisons(count: int) -> str:
    """`1 comparison`, `2 comparisons`."""
    return f"{count} comparison{'' if count == 1 else 's'}"


def spread_note(estimates: Iterable[Estimate]) -> str:
    """What ± means in a table of these estimates; empty without any."""
    counts = {estimate.n for estimate in estimates}
    if not counts:
        return ""
    if counts == {1}:
        return "One seed (n = 1): no spread is known."
    return f"Mean ± standard deviation over n = {count_range(counts)} seeds."
