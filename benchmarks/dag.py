"""How long does Snakemake plan a study of many jobs?

The grid of presets/cpu.yaml with more seeds, in a study of its own in which nothing has run: the CPU seconds
of `snakemake --dry-run`, all of it, from the start of Python to the list of jobs. JOBS in the environment has
the sizes, such as JOBS="100 1000".
"""

import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

from triptych.workflow.errors import TriptychError

CELLS = 8  # jobs per seed
SIZES = "100 1000 5000 20000"


def measure() -> dict[str, float | str]:
    """CPU seconds and peak memory of planning, by number of jobs."""
    metrics: dict[str, float | str] = {}
    for size in map(int, os.environ.get("JOBS", SIZES).split()):
        jobs, seconds, gib = plan(max(1, size // CELLS))
        metrics |= {f"jobs_{size}": jobs, f"cpu_seconds_{size}": seconds, f"peak_gib_{size}": gib}
    return metrics


def plan(seeds: int) -> tuple[int, float, float]:
    """Plan the grid with this number of seeds; a `TriptychError` if Snakemake reports an error.

    Returns the number of jobs, CPU seconds, and gibibytes at the peak, of the largest plan so far.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "seeds.yaml")
        config.write_text(f"parts: [grid]\ngrid: {{seeds: {list(range(seeds))}}}\n")
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "rules", "--cores", "2"]
        command += ["--directory", folder, "--configfile", "presets/cpu.yaml", str(config)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise TriptychError(f"Snakemake cannot plan {seeds} seeds:\n{done.stdout}{done.stderr}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = int(re.findall(r"^total\s+(\d+)$", done.stdout, flags=re.MULTILINE)[0])
    return jobs, seconds, after.ru_maxrss / 2**20
