"""`frames.include` and `frames.exclude`: frames that the user chooses by number, time or name."""

import math
import re
from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase

from triptych.scenes.manifest import ManifestRow
from triptych.workflow.errors import TriptychError

EXCLUDED = "excluded in the config"

_TIME = r"(?:\d+:)?\d+:\d+(?:\.\d+)?"
_TIMES = re.compile(rf"({_TIME})?-({_TIME})?")
_NUMBERS = re.compile(r"(\d+)?-(\d+)?")


def _seconds(time: str) -> float:
    """Seconds of m:ss or h:mm:ss."""
    value = 0.0
    for part in time.split(":"):
        value = 60 * value + float(part)
    return value


def _within(first: str | None, last: str | None, read: Callable[[str], float]) -> tuple[float, float]:
    return read(first) if first else 0, read(last) if last else math.inf


def _matcher(entry: str) -> Callable[[ManifestRow], bool]:
    """Whether a frame is meant by an entry."""
    if entry.isdecimal():
        return lambda row: row.frame == int(entry)
    if ":" in entry and (times := _TIMES.fullmatch(entry)):
        start, end = _within(times[1], times[2], _seconds)
        return lambda row: row.time is not None and start <= row.time <= end
    if entry != "-" and (numbers := _NUMBERS.fullmatch(entry)):
        low, high = _within(numbers[1], numbers[2], int)
        return lambda row: low <= row.frame <= high
    return lambda row: fnmatchcase(row.file, entry) or fnmatchcase(row.source or "", entry)


class Selection:
    """The frames that are kept, and those that are left out, whatever their quality; of both, it is kept.

    An entry is a frame's number (`120`), a range of numbers (`100-160`, `900-`), a range of times
    (`0:12-0:20.5`, `1:30-`), or the name of a file, in which `*` stands for any text.
    """

    def __init__(self, include: Iterable[str | int] = (), exclude: Iterable[str | int] = ()) -> None:
        self._include = {str(entry): _matcher(str(entry)) for entry in include}
        self._exclude = {str(entry): _matcher(str(entry)) for entry in exclude}
        self._unused = {*self._include, *self._exclude}

    def _any(self, entries: dict[str, Callable[[ManifestRow], bool]], row: ManifestRow) -> bool:
        matching = [entry for entry, matches in entries.items() if matches(row)]
        self._unused.difference_update(matching)
        return bool(matching)

    def includes(self, row: ManifestRow) -> bool:
        """Whether the frame is kept in any case."""
        return self._any(self._include, row)

    def excludes(self, row: ManifestRow) -> bool:
        """Whether the frame is left out in any case."""
        return self._any(self._exclude, row) and not self._any(self._include, row)

    def check(self, source: object) -> None:
        """Raise `TriptychError` if an entry matched none of the frames so far."""
        if self._unused:
            raise TriptychError(
                f"{source}: no frame matches {', '.join(sorted(self._unused))}; correct frames.include and "
                "frames.exclude: numbers and times are in frames.csv, such as 120, 100-160, 0:12-0:20 or "
                "IMG_12*.jpg"
            )
