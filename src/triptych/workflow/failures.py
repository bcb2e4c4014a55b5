"""Why jobs failed, from their logs: for Snakemake's last lines."""

import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from triptych.workflow.files import FULL

ENDED = re.compile(r" INFO (done|stopped)$", flags=re.MULTILINE)
KILLED = "error: the job was killed"
CRASHED = re.compile(r"^Fatal Python error: (.+)$", flags=re.MULTILINE)  # see `faulthandler`
VMSTAT = Path("/proc/vmstat")


def failures(
    jobs: Mapping[Path, str], *, since: float, oom_kills_before: int = 0, stopped: bool = False
) -> Iterator[str]:
    """One line for each error in the logs of failed jobs, and for each job that ended without logging one.

    An error that several jobs have is named once, with the first one's log.

    Args:
        jobs: the rule of each failed job, by the path of its log (see `triptych.workflow.job`).
        since: time at which the jobs were started, in seconds since 1970; older logs are of earlier runs.
        oom_kills_before: `oom_kills` when the jobs were started.
        stopped: whether the user stopped them: then only logged errors are named.
    """
    named: set[str] = set()
    for path, rule in sorted(jobs.items()):
        began = path.exists() and path.stat().st_mtime >= since
        text = path.read_text(encoding="utf-8", errors="replace") if began else ""
        errors = re.findall(r" ERROR (.+)$", text, flags=re.MULTILINE)
        if not errors and not stopped and not ENDED.search(text):
            errors = [_silent_end(rule, text, path, oom=oom_kills() > oom_kills_before)]
        for error in errors:
            if error not in named or error.startswith(KILLED):
                named.add(error)
                yield f"{error} (log: {path.absolute()})" if began else error


def oom_kills() -> int:
    """How many processes the kernel has killed since the machine started because memory was exhausted."""
    try:
        found = re.search(r"^oom_kill (\d+)$", VMSTAT.read_text(), flags=re.MULTILINE)
    except OSError:  # not Linux
        return 0
    return int(found[1]) if found else 0


def _silent_end(rule: str, text: str, path: Path, *, oom: bool) -> str:
    """Why a job ended that logged no error; `text` is its log, which is empty if it never began."""
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if shutil.disk_usage(there).free < FULL:
        return f"error: {rule} ended, as the disk of {there} is full; free some space and run again"
    if (crash := CRASHED.search(text)) is not None:
        return (
            f"error: {rule} crashed in a compiled library ({crash[1]}); run again, and report it if it lasts"
        )
    if not text and not oom:
        return (
            f"error: {rule} ended while it loaded its libraries; the lines above say why (an incomplete "
            "installation, or too little memory)"
        )
    memory = re.search(r" INFO memory: (.+)$", text, flags=re.MULTILINE)
    why = "by the system, as" if oom else "from outside, most likely as"
    return (
        f"{KILLED} {why} memory was exhausted; it had {memory[1] if memory else 'an unknown amount'}; use a "
        "smaller batch_size, smaller images, fewer jobs at a time (--cores, compute.cell_threads) or a "
        "machine with more memory"
    )
