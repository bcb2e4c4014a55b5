"""A number over seeds, beside the published one."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from triptych.report.results import Result


@dataclass(frozen=True)
class Estimate:
    """Mean and sample standard deviation (n - 1) over seeds; no deviation from a single one.

    `mark` is shown behind the number.
    """

    mean: float
    std: float | None
    n: int
    published: float | None = None
    source: str | None = None
    mark: str = ""

    def __str__(self) -> str:
        """Two decimals, as in `26.30 ± 0.41`."""
        spread = "" if self.std is None else f" ± {self.std:.2f}"
        return f"{self.mean:.2f}{spread}{f' {self.mark}' if self.mark else ''}"


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


def spread_note(estimates: Sequence[Estimate]) -> str:
    """What stands behind ±."""
    counts = sorted({estimate.n for estimate in estimates})
    if counts == [1]:
        return "One seed (n = 1), so no spread is given."
    shown = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    return f"Mean ± standard deviation over n = {shown} seeds."
