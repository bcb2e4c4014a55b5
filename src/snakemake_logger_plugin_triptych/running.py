"""A running job, as its log tells it."""

import re
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

CLOCKS_DIFFER = 1.0  # seconds by which the time of a new log may lie before the start of its job
PROGRESS = re.compile(r" INFO .*: (\d+)/(\d+) \(\d+ %\), .* (\w+)/s, ETA (\S+)")


@dataclass
class Running:
    """A running job.

    Attributes:
        title: what it does, by the rule's message.
        rule: name of its rule.
        seconds: expected.
        log: its log file.
        began: when it was started, in seconds since 1970.
        share, words: its progress, 0 to 1 and in words, by the log.
        resumed: `share` when progress was first seen; None until then.
        errors: those in the log.
        stopped: whether the log ends with the line of a job that a signal ended.
    """

    title: str
    rule: str
    seconds: float
    log: Path | None
    began: float = field(default_factory=time.time)
    share: float = 0.0
    words: str = ""
    resumed: float | None = None
    errors: list[str] = field(default_factory=list)
    stopped: bool = False
    _read: int = 0  # bytes of the log

    def elapsed(self) -> str:
        """Time since the job began."""
        return str(timedelta(seconds=round(time.time() - self.began)))

    def read_log(self) -> list[str]:
        """Take progress and errors from what is new in the log; return the new warnings."""
        warnings = []
        for line in self._new_lines():
            self.stopped = line.endswith(" INFO stopped")
            if " WARNING " in line:
                warnings.append(line.split(" WARNING ", 1)[1])
            elif " ERROR " in line:
                self.errors.append(line.split(" ERROR ", 1)[1])
            elif found := PROGRESS.search(line):
                count, total, unit, eta = found.groups()
                self.share, self.words = int(count) / max(int(total), 1), f"{unit} {count}/{total}, ETA {eta}"
                self.resumed = self.share if self.resumed is None else self.resumed
        return warnings

    def _new_lines(self) -> list[str]:
        """Complete lines that were added; none while the log is still that of an earlier run."""
        try:
            if self.log is None or (found := self.log.stat()).st_mtime < self.began - CLOCKS_DIFFER:
                return []
            if found.st_size < self._read:  # it is written anew
                self._read = 0
            with self.log.open("rb") as file:
                file.seek(self._read)
                added, newline, _ = file.read().rpartition(b"\n")
        except OSError:  # not written yet
            return []
        self._read += len(added) + len(newline)
        return added.decode("utf-8", errors="replace").splitlines()
