"""The figures and training curves that the reproduced report published."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "published"


@dataclass(frozen=True)
class Published:
    """One published number, the data set it belongs to, and how it was obtained."""

    value: float
    dataset: str
    protocol: str


@cache
def _results() -> dict[tuple[str, str, str], Published]:
    with open(FOLDER / "published_results.csv", newline="", encoding="utf-8") as stream:
        return {
            (row["experiment"], row["run"], row["metric"]): Published(
                float(row["value"]), row["dataset"], row["protocol"]
            )
            for row in csv.DictReader(stream)
        }


def published_result(experiment: str, run: str, metric: str) -> Published | None:
    """The published number, or None where the report has none (accuracies and errors in percent)."""
    return _results().get((experiment, run, metric))


def published_runs(experiment: str) -> list[str]:
    """Names of the runs of which the report gives results, in its order."""
    return list(dict.fromkeys(run for part, run, _ in _results() if part == experiment))


@cache
def _curves() -> dict[tuple[str, str], pd.DataFrame]:
    table = pd.read_csv(FOLDER / "published_curves.csv")
    table["epoch"] += 1  # the logs count from 0, we count finished epochs
    return {
        (str(run), str(metric)): rows[["epoch", "value"]].reset_index(drop=True)
        for (run, metric), rows in table.groupby(["run", "metric"], sort=False)
    }


def published_curve(run: str, metric: str) -> pd.DataFrame | None:
    """Columns epoch (1-based) and value of a published training log, or None."""
    return _curves().get((run, metric))


def published_epochs(run: str) -> int | None:
    """How many epochs a published training took, by its log."""
    curve = published_curve(run, "train_loss")
    return None if curve is None else int(curve["epoch"].max())
