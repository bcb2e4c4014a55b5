"""Do the grid's cells on a CPU run faster side by side, a core each, or one after the other on all cores?

Measured is a training step of 128 images, with automatic precision, without data loading and augmentation.
Both cases are measured in turns in one run.

- `resnet18_together`, `vit_together`: images a second, summed over one training for each core.
- `resnet18_in_turn`, `vit_in_turn`: of one training on all cores.
- `resnet18_together_over_in_turn`, `vit_together_over_in_turn`: their ratio.
"""

import os
import subprocess
import sys
from statistics import median

from triptych.workflow.errors import TriptychError

SECONDS, ROUNDS = 20, 2


def together(name: str, trainings: int, threads: int) -> float:
    """Images a second, summed over a number of simultaneous trainings with a number of threads each.
    Raises `TriptychError` if one of them fails.
    """
    command = [sys.executable, "-m", "benchmarks._cell", name, str(threads), str(SECONDS)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(trainings)]
    found = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise TriptychError(f"{name} with {threads} threads: a training failed, for the reason above")
    return sum(map(float, found))


def measure() -> dict[str, float | str]:
    """Take turns, and return medians and their ratios."""
    cores = len(os.sched_getaffinity(0))
    metrics: dict[str, float | str] = {"cores": float(cores)}
    for name in ("resnet18", "vit"):
        turns = [(together(name, cores, 1), together(name, 1, cores)) for _ in range(ROUNDS)]
        beside, alone = (median(speeds) for speeds in zip(*turns, strict=True))
        metrics |= {f"{name}_together": beside, f"{name}_in_turn": alone}
        metrics[f"{name}_together_over_in_turn"] = beside / alone
    return metrics
