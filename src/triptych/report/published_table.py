"""Every error that the report published for its grid, and ours beside it, if that cell was run."""

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from triptych.report.comparison import Comparison
from triptych.report.estimates import Estimate, estimate
from triptych.report.grid_contrasts import Cell, Cells
from triptych.report.grid_table import METRICS, NOT_RUN
from triptych.report.paired import Difference, difference_from
from triptych.report.published import published_result, published_runs
from triptych.report.render_table import Table
from triptych.report.titles import CELLS


def _published() -> list[tuple[Cell, str, float]]:
    """Cell, metric and published error, cell by cell."""
    found = []
    for run in published_runs("grid"):
        architecture, augmentation = run.split("-")
        values = {metric: published_result("grid", run, metric) for metric in METRICS}
        found += [
            ((architecture, augmentation), name, value.value) for name, value in values.items() if value
        ]
    return found


def _ours(cells: Cells, cell: Cell, metric: str, comparison: Comparison) -> Estimate | None:
    """None for a cell that was not run on the published data set."""
    if cell not in cells or not comparison.same_dataset:
        return None
    return estimate(cells[cell], metric)


def published_rows(cells: Cells, comparison: Comparison) -> pd.DataFrame:
    """Long form: one row a published error; what was not run has no `n`, `mean`, `difference`, single
    seeds have no interval `low` to `high` of the difference.
    """
    rows = []
    for cell, metric, published in _published():
        ours = _ours(cells, cell, metric, comparison)
        difference = difference_from(cells[cell] if ours else [], published, metric)
        rows.append(
            {
                "architecture": cell[0],
                "augmentation": cell[1],
                "metric": metric,
                "published": published,
                "n": ours.n if ours else None,
                "mean": ours.mean if ours else None,
                "std": ours.std if ours else None,
                "difference": ours.mean - published if ours else None,
                "low": difference.low,
                "high": difference.high,
            }
        )
    return pd.DataFrame(rows).astype({"n": "Int64"})


def published_tables(
    cells: Cells,
    comparison: Comparison,
    *,
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
) -> list[Table]:
    """One a metric, one row a published cell: published, ours and the difference; what they say last."""
    rows: dict[str, list[tuple[str | Estimate, ...]]] = {metric: [] for metric in METRICS}
    differences: list[Difference] = []
    for cell, metric, published in _published():
        ours = _ours(cells, cell, metric, comparison)
        difference = difference_from(cells[cell] if ours else [], published, metric)
        differences.append(difference)
        row, column = architectures.get(cell[0], CELLS[cell[0]]), augmentations.get(cell[1], CELLS[cell[1]])
        told = NOT_RUN if ours is None else ours
        rows[metric].append((f"{row}, {column}", f"{published:.2f}", told, str(difference)))
    last = list(METRICS)[-1]
    return [
        Table(
            caption=f"{title} (%) of the report and ours, test images",
            header=("Cell", "published", "ours", "difference"),
            rows=tuple(rows[metric]),
            notes=(*_notes(differences), comparison.verdict) if metric == last else (),
            published_label=None,
        )
        for metric, title in METRICS.items()
    ]


def _notes(differences: Sequence[Difference]) -> list[str]:
    lower = sum(difference.mean < 0 for difference in differences)
    missing = sum(math.isnan(difference.mean) for difference in differences)
    notes = [
        f"Of the {len(differences)} published errors, {lower} are higher than ours, "
        f"{len(differences) - lower - missing} are not, and {missing} belong to cells that were not run "
        "on that data set. The published ones are of single runs, so chance is part of every difference."
    ]
    highs = [difference.high for difference in differences if difference.high is not None]
    if highs:
        notes.append(
            "In brackets the 95 % confidence interval of our mean over the seeds (Student's t, not "
            "corrected) minus the published error; "
            f"{sum(high < 0 for high in highs)} lie below zero as a whole."
        )
    return notes
