"""Part 2's error tables: in the published layout, and beside every published error."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from triptych.report.class_results import (
    CHANCE,
    chance_note,
    chance_text,
    one_class_warnings,
    resolution_note,
)
from triptych.report.part2_contrasts import against_best, detectable_note, unequal_note
from triptych.report.part2_grid import METRICS, NOT_RUN, Cell, Grid
from triptych.report.published import dataset_title, published_runs, published_value
from triptych.report.results import WARNED, test_looks_note, warnings_of
from triptych.report.statistics import (
    MIN_SEEDS,
    Difference,
    Estimate,
    arrow,
    comparisons,
    difference_of,
    estimate,
    spread_note,
)
from triptych.report.tables import Cell as Value
from triptych.report.tables import Table

BEST, NEAR = "†", "≈"
# cell, metric, published error, ours, and ours minus published
PublishedError = tuple[Cell, str, float, Estimate | None, Difference]


def marked_estimates(grid: Grid, metric: str) -> dict[Cell, Estimate]:
    """`grid.estimates`; each row's best in validation and what is not distinguishable from it are marked."""
    marks = dict.fromkeys(grid.best_in_validation(metric).values(), BEST)
    marks |= {
        contrast.cell: NEAR for contrast in against_best(grid, metric) if contrast.distinguishable is False
    }
    return {cell: value.marked(marks.get(cell, "")) for cell, value in grid.estimates(metric).items()}


def error_rows(grid: Grid, metric: str) -> pd.DataFrame:
    """Long form: one row per cell; `same_dataset` says whether `published` was measured on our data.

    `mark` is that of the table; a cell that was not run has `n` 0.
    """
    balanced = metric == "test_balanced_accuracy"  # has no validation value, so no marks
    estimates = grid.estimates(metric) if balanced else marked_estimates(grid, metric)
    return pd.DataFrame(
        [
            {
                "architecture": cell[0],
                "augmentation": cell[1],
                **value.numbers(),
                "published": grid.published(cell, metric),
                "dataset": grid.comparison.dataset,
                "same_dataset": grid.comparison.same_dataset,
                "mark": value.mark,
            }
            for cell in grid.every_cell
            for value in [estimates.get(cell, Estimate(math.nan, None, 0))]
        ]
    )


def grid_warnings(grid: Grid) -> list[str]:
    """Warnings in the logs of the trainings, and of networks that know one class alone."""
    runs = {grid.title(cell): results for cell, results in grid.cells.items()}
    return [
        *warnings_of([grid.dataset, *(result for results in runs.values() for result in results)]),
        *one_class_warnings(runs, grid.dataset.values),
    ]


def error_table(grid: Grid, metric: str) -> Table:
    """One row per architecture, one column per augmentation."""
    estimates = marked_estimates(grid, metric)
    notes = (
        *(f"{WARNED} {line}" for line in grid_warnings(grid)),
        grid.comparison.verdict,
        unequal_note(grid),
        spread_note(estimates.values()),
        test_looks_note({grid.title(cell): results for cell, results in grid.cells.items()}),
        marks_note(grid, metric),
        chance_note(grid.dataset.values),
        "" if "top5" in metric else resolution_note(grid.dataset.values, metric),
    )
    label = grid.comparison.label if grid.published_cells else None
    return replace(_table(grid, METRICS[metric], metric, estimates, notes), published_label=label)


def balanced_table(grid: Grid) -> Table:
    """Balanced accuracy: one row per architecture, one column per augmentation."""
    metric = "test_balanced_accuracy"
    estimates = grid.estimates(metric)
    notes = (
        spread_note(estimates.values()),
        "The mean of the accuracies of all classes: each counts the same, however few images it has.",
        resolution_note(grid.dataset.values, metric),
    )
    return _table(grid, "Balanced accuracy", metric, estimates, notes)


def _table(
    grid: Grid, title: str, metric: str, estimates: Mapping[Cell, Estimate], notes: Sequence[str]
) -> Table:
    """The estimates in the published layout; the last row is the level of chance, if it is known."""
    rows: list[tuple[Value, ...]] = [
        (row_title, *[estimates.get((row, column), NOT_RUN) for column in grid.augmentations])
        for row, row_title in grid.architectures.items()
    ]
    if level := chance_text(grid.dataset.values, metric):
        rows.append((CHANCE, *[level] * len(grid.augmentations)))
    caption = f"{title} (%) on {dataset_title(grid.comparison.dataset)}, test images ({arrow(metric)})"
    return Table(caption, ("Architecture", *grid.augmentations.values()), rows, notes)


def marks_note(grid: Grid, metric: str) -> str:
    """What the marks mean, and how they were tested."""
    contrasts = against_best(grid, metric)
    if not contrasts:
        return ""
    text = f"{BEST}: the row's least error on validation images."
    tested = [contrast for contrast in contrasts if contrast.p_holm is not None]
    if not tested:
        text += " With so few seeds, no test can tell which other errors are distinguishable from it."
    else:
        text += (
            f" {NEAR}: not distinguishable from it on test images (t test of the differences seed by seed, "
            "with a variance pooled over the row; p ≥ 0.05 after Holm's correction for the "
            f"{comparisons(len(tested))} of this table). {detectable_note(tested)}"
        )
        if len(tested) < len(contrasts):
            untested = len(contrasts) - len(tested)
            text += f" {untested} without a mark are not tested: fewer than {MIN_SEEDS} pairs."
    if grid.single_cells:
        text += " An architecture with one cell has no mark."
    return text


def published_errors(grid: Grid | None) -> list[PublishedError]:
    """All published errors, cell by cell; ours is None for a cell not run on the published data set."""
    errors = []
    for run in published_runs("grid"):
        architecture, augmentation = run.split("-")
        cell = architecture, augmentation
        results = grid.cells.get(cell, []) if grid and grid.comparison.same_dataset else []
        for metric in METRICS:
            published = published_value("grid", run, metric)
            if published is not None:
                ours = estimate(results, metric) if results else None
                difference = difference_of([result.number(metric) - published for result in results])
                errors.append((cell, metric, published, ours, difference))
    return errors


def published_rows(grid: Grid) -> pd.DataFrame:
    """Long form: one row per published error.

    What was not run has no `n`, `mean` and `difference`; fewer than three seeds have no interval `low` to
    `high` of the difference.
    """
    rows = [
        {
            "architecture": cell[0],
            "augmentation": cell[1],
            "metric": metric,
            "published": published,
            **{name: getattr(ours, name, None) for name in ("n", "mean", "std")},
            "difference": ours.mean - published if ours else None,
            "low": difference.low,
            "high": difference.high,
        }
        for cell, metric, published, ours, difference in published_errors(grid)
    ]
    return pd.DataFrame(rows).astype({"n": "Int64"})


def published_tables(grid: Grid) -> list[Table]:
    """One per metric, one row per published cell: published, ours and the difference; the notes come last."""
    errors = published_errors(grid)
    notes = (*_published_notes(errors), grid.comparison.verdict)
    return [
        Table(
            caption=f"{title} (%) of the report and ours, test images (↓)",
            header=("Cell", "Published", "Ours", "Ours minus published", "Ours is"),
            rows=[
                (
                    grid.title(cell),
                    f"{published:.2f}",
                    NOT_RUN if ours is None else ours,
                    str(difference),
                    None if ours is None else "lower" if difference.mean < 0 else "not lower",
                )
                for cell, name, published, ours, difference in errors
                if name == metric
            ],
            notes=notes if metric == list(METRICS)[-1] else (),
        )
        for metric, title in METRICS.items()
    ]


def not_lower(errors: Sequence[PublishedError]) -> list[PublishedError]:
    """Those of which ours is not lower, or not a number."""
    return [error for error in errors if error[3] and not error[4].mean < 0]


def count_published(errors: Sequence[PublishedError]) -> str:
    """`Of the 16 published errors, ours is lower in 2, not lower in 1; 13 belong to cells`."""
    lower, others = sum(difference.mean < 0 for *_, difference in errors), len(not_lower(errors))
    return (
        f"Of the {len(errors)} published errors, ours is lower in {lower}, not lower in {others}; "
        f"{len(errors) - lower - others} belong to cells"
    )


def _published_notes(errors: Sequence[PublishedError]) -> list[str]:
    notes = [
        f"{count_published(errors)} not run. The published ones are of single runs, so chance is part of "
        "every difference."
    ]
    highs = [difference.high for *_, difference in errors if difference.high is not None]
    if highs:
        notes.append(
            "In brackets the 95 % confidence interval of our mean over the seeds (Student's t, not "
            "corrected) minus the published error; "
            f"{sum(high < 0 for high in highs)} lie below zero as a whole."
        )
    return notes
