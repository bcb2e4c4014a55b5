"""Differences between runs of the same seeds, and whether they may be chance."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import t as student

from triptych.report.results import Result

ROUNDING = 1e-9  # percentage points that are none
LEVEL = 0.05  # share of chance findings among tables without any true difference


@dataclass(frozen=True)
class Difference:
    """Mean of `n` paired differences.

    Attributes:
        mean: NaN without a pair.
        low: lower end of the 95 % confidence interval of the mean (Student's t). None without two pairs, and
            where all differ by the same amount: errors are counts, and a tie of few is no certainty.
        high: its upper end.
        p: two-sided p value of the paired t test against zero; None likewise.
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


def paired_difference(ours: Sequence[Result], theirs: Sequence[Result], metric: str) -> Difference:
    """`metric` of `ours` minus `theirs`, seed by seed; seeds that only one of them has do not count."""
    other = {result.seed: result.number(metric) for result in theirs}
    pairs = [result.number(metric) - other[result.seed] for result in ours if result.seed in other]
    return _mean_difference(pairs)


def difference_from(ours: Sequence[Result], theirs: float, metric: str) -> Difference:
    """`metric` of `ours`, over the seeds, minus one number without a spread of its own."""
    return _mean_difference([result.number(metric) - theirs for result in ours])


def _mean_difference(pairs: Sequence[float]) -> Difference:
    n, mean = len(pairs), statistics.fmean(pairs) if pairs else math.nan
    if not math.isfinite(mean):
        return Difference(mean, n)
    error = statistics.stdev(pairs) / math.sqrt(n) if n > 1 else 0.0
    if error < ROUNDING:
        return Difference(mean, n)
    half = float(student.ppf(1 - LEVEL / 2, n - 1)) * error
    p = float(2 * student.sf(abs(mean) / error, n - 1))
    return Difference(mean, n, mean - half, mean + half, p)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """P values adjusted for their number, in the same order; None stays and does not count.

    Below the level they are as rarely by chance as a single test: in `LEVEL` of all families of tests,
    however the tests depend on each other. Holm, A Simple Sequentially Rejective Multiple Test
    Procedure, 1979.
    """
    order = sorted((value, place) for place, value in enumerate(values) if value is not None)
    adjusted: list[float | None] = [None] * len(values)
    reached = 0.0
    for rank, (value, place) in enumerate(order):
        reached = max(reached, min(1.0, (len(order) - rank) * value))
        adjusted[place] = reached
    return adjusted
