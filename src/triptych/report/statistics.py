"""Statistics over seeds: mean and deviation, paired differences, and tests corrected for their number."""

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from scipy.stats import sem, ttest_1samp

from triptych.report.results import Result

SIGNIFICANCE_LEVEL = 0.05
ROUNDING = 1e-9  # percentage points; a standard error below this counts as 0


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

    def __str__(self) -> str:
        """Two decimals, as in `26.30 ± 0.41`."""
        spread = "" if self.std is None else f" ± {self.std:.2f}"
        return f"{self.mean:.2f}{spread}{f' {self.mark}' if self.mark else ''}"


@dataclass(frozen=True)
class Difference:
    """Mean of `n` paired differences, or NaN without a pair.

    `low` and `high` are the ends of the 95 % confidence interval of the mean, `p` is the two-sided p value of
    the paired t test (Student, The Probable Error of a Mean, 1908). All three are None for fewer than two
    pairs, and for pairs that all differ by the same amount: errors are counts, so a few equal differences
    occur by chance.
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


def signed(value: float) -> str:
    """`+0.60`, `−0.60` with a true minus sign, `0.00`; `–` for NaN."""
    if math.isnan(value):
        return "–"
    text = f"{value:+.2f}"
    return "0.00" if text[1:] == "0.00" else text.replace("-", "−")


def estimate(results: Sequence[Result], metric: str, *, published: float | None = None) -> Estimate:
    """Estimate `metric` from the result files of all seeds of one run."""
    values = [result.number(metric) for result in results]
    finite = all(map(math.isfinite, values))
    return Estimate(
        mean=statistics.fmean(values),
        std=None if len(values) < 2 else statistics.stdev(values) if finite else math.nan,
        n=len(values),
        published=published,
        source=results[0].source,
    )


def paired_difference(results: Sequence[Result], reference: Sequence[Result], metric: str) -> Difference:
    """`metric` of results minus that of a reference, for the seeds that both have."""
    other = {result.seed: result.number(metric) for result in reference}
    return _mean_difference(
        [result.number(metric) - other[result.seed] for result in results if result.seed in other]
    )


def difference_from(results: Sequence[Result], constant: float, metric: str) -> Difference:
    """`metric` of results, over the seeds, minus a constant."""
    return _mean_difference([result.number(metric) - constant for result in results])


def _mean_difference(differences: Sequence[float]) -> Difference:
    n, mean = len(differences), statistics.fmean(differences) if differences else math.nan
    if n < 2 or not math.isfinite(mean) or sem(differences) < ROUNDING:
        return Difference(mean, n)
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(1 - SIGNIFICANCE_LEVEL)
    return Difference(mean, n, float(low), float(high), float(test.pvalue))


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


def comparisons(count: int) -> str:
    """`1 comparison`, `2 comparisons`."""
    return f"{count} comparison{'' if count == 1 else 's'}"


def spread_note(estimates: Iterable[Estimate]) -> str:
    """What ± means in a table of these estimates."""
    counts = {estimate.n for estimate in estimates}
    if counts == {1}:
        return "One seed (n = 1), so no spread is given."
    return f"Mean ± standard deviation over n = {count_range(counts)} seeds."
