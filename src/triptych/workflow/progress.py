"""Progress with an ETA: a bar on a terminal, plain lines elsewhere and in the job's log."""

import logging
import sys
import time
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

log = logging.getLogger("triptych")


class Progress:
    """Count units of work towards a total.

    On a terminal a bar is drawn. In addition, a plain line with rate and ETA goes to the log every `every`
    seconds, so that a batch job's log can be followed. If a unit has a number of `images`, both show images
    per second, too. The ETA of the plain line assumes that all units take equally long, unless `cost` gives
    the time of the first n units, in any unit of time.

    Example:
        with Progress(len(files), "frames", unit="frame") as progress:
            for file in files:
                progress.update(1, kept=7)
    """

    def __init__(
        self,
        total: int,
        label: str,
        *,
        unit: str = "step",
        start: int = 0,
        every: float = 10.0,
        images: int = 0,
        cost: Callable[[int], float] | None = None,
    ) -> None:
        self.total, self.label, self.unit, self.images = total, label, unit, images
        self.cost = cost or float
        self.start, self.count, self.every = start, start, every
        self._began = self._last = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=start,
            desc=label,
            unit=unit,
            dynamic_ncols=True,
            leave=False,
            unit_scale=total > 100_000,
            disable=not sys.stderr.isatty(),
        )

    def update(self, amount: int = 1, **fields: float | str) -> None:
        """Add finished units; `fields` (losses, rates) are shown beside the bar."""
        self.count += amount
        self.total = self._bar.total = max(self.total, self.count)  # an estimate may have been too low
        now = time.monotonic()
        if self.images:
            fields = {"images/s": float(f"{self._rate(now) * self.images:.3g}"), **fields}
        if fields:
            self._bar.set_postfix(fields, refresh=False)
        self._bar.update(amount)
        if now - self._last >= self.every:
            self._last = now
            log.info(self.line(now, fields), extra={"progress": True})

    def _rate(self, now: float) -> float:
        """Units per second since the beginning."""
        return (self.count - self.start) / max(now - self._began, 1e-9)

    def line(self, now: float, fields: dict[str, float | str]) -> str:
        """One plain line: share done, rate, ETA, fields."""
        rate = self._rate(now)
        so_far = self.cost(self.count)
        done, left = so_far - self.cost(self.start), self.cost(self.total) - so_far
        eta = left * (now - self._began) / done if done > 0 else float("inf")
        shown = "".join(
            f" {key}={value:.4g}" if isinstance(value, float) else f" {key}={value}"
            for key, value in fields.items()
        )
        return (
            f"{self.label}: {self.count}/{self.total} ({100 * self.count / max(self.total, 1):.0f} %), "
            f"{rate:.3g} {self.unit}/s, ETA {format_seconds(eta)}{shown}"
        )

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


def format_seconds(seconds: float) -> str:
    """`h:mm:ss`, or `?` if unknown."""
    if seconds == float("inf"):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02d}:{second:02d}"
