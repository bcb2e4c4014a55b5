"""Why jobs failed, from their logs: for Snakemake's last lines."""

import re
from collections.abc import Iterator
from pathlib import Path

ENDS = (" INFO done", " INFO stopped")  # the last line of a job that did not fail
KILLED = "error: the job was killed"
VMSTAT = Path("/proc/vmstat")


def failures(logs: Path, *, since: float, oom_kills_before: int = 0) -> Iterator[str]:
    """One line for each error in the logs of jobs, and for each job that was killed before it could log one.

    An error that several jobs have is named once, with the first one's log.

    Args:
        logs: folder of the logs (see `triptych.workflow.job`).
        since: only logs that were written after this time, in seconds since 1970.
        oom_kills_before: `oom_kills` when the jobs were started.
    """
    named: set[str] = set()
    for path in sorted(logs.rglob("*.log")):
        if path.stat().st_mtime < since:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        errors = [line.split(" ERROR ", 1)[1] for line in lines if " ERROR " in line]
        if not errors and lines and not lines[-1].endswith(ENDS):
            errors = [_killed(lines, certain=oom_kills() > oom_kills_before)]
        for error in errors:
            if error in named and not error.startswith(KILLED):
                continue
            named.add(error)
            yield f"{error} (log: {path})"


def oom_kills() -> int:
    """How many processes the kernel has killed since the machine started because memory was exhausted."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), flags=re.MULTILINE)
    except OSError:  # not Linux
        return 0
    return int(found[1]) if found else 0


def _killed(lines: list[str], *, certain: bool) -> str:
    memory = next(
        (line.split(" memory: ", 1)[1] for line in lines if " INFO memory: " in line), "an unknown amount"
    )
    why = "by the system, as" if certain else "from outside, most likely as"
    return (
        f"{KILLED} {why} memory was exhausted; it had {memory}; use a smaller batch_size, "
        "smaller images, fewer jobs at a time (--cores, compute.cell_threads) or a machine with more memory"
    )
