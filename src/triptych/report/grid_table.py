"""Architecture x augmentation: test errors in the published layout."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

import pandas as pd

from triptych.report.comparison import Comparison, compare, recipe_differences
from triptych.report.estimates import Estimate, estimate, spread_note
from triptych.report.grid_contrasts import Cells, against_best, alone_in_row, best_in_validation
from triptych.report.published import published_result
from triptych.report.render_table import Table
from triptych.report.titles import dataset_title

METRICS = {"test_top1_error": "Top-1 error", "test_top5_error": "Top-5 error"}
BEST, NEAR = "†", "≈"
NOT_RUN = "not run"
NO_PART = ("augmentation", "device")  # of a recipe: what the columns are, and what changes no result


def grid_comparison(cells: Cells, dataset: Mapping[str, Any]) -> Comparison:
    """Compare the grid's data set, networks, recipes and epochs with the published ones."""
    first = {cell: results[0] for cell, results in cells.items()}
    recipes: dict[tuple[str, ...], Any] = {
        cell: result.provenance["recipe"] for cell, result in first.items()
    }
    return compare(
        "grid",
        dataset,
        epochs={"-".join(cell): int(result.number("epochs")) for cell, result in first.items()},
        models={cell: recipe["architecture"]["options"] for cell, recipe in recipes.items()},
        others=recipe_differences(recipes),
    )


def grid_estimates(cells: Cells, metric: str) -> dict[tuple[str, str], Estimate]:
    """A metric (percent) of every cell over its seeds, beside the published one where there is one."""
    estimates = {}
    for cell, results in cells.items():
        estimates[cell] = estimate(results, metric, published=_published(cell, metric))
    return estimates


def marked_estimates(cells: Cells, metric: str) -> dict[tuple[str, str], Estimate]:
    """`grid_estimates`, each row's best in validation marked, and what cannot be told from it."""
    marks = dict.fromkeys(best_in_validation(cells, metric).values(), BEST)
    marks |= {
        contrast.ours: NEAR for contrast in against_best(cells, metric) if contrast.distinguishable is False
    }
    return {
        cell: replace(value, mark=marks.get(cell, ""))
        for cell, value in grid_estimates(cells, metric).items()
    }


def marks_note(cells: Cells, metric: str) -> str:
    """What the marks mean, and how they came about."""
    contrasts = against_best(cells, metric)
    if not contrasts:
        return ""
    told = sum(contrast.p_holm is not None for contrast in contrasts)
    best = f"{BEST}: the row's least error on validation images."
    if all(contrast.difference.n < 2 for contrast in contrasts):
        return f"{best} So few seeds cannot say which other errors are distinguishable from its."
    unsaid = sum(contrast.distinguishable is None for contrast in contrasts)
    ties = f" {unsaid} without a mark are not tested: all seeds differ by the same amount." if unsaid else ""
    if alone_in_row(cells):
        ties += " An architecture with one cell has no mark."
    near = f" {NEAR}: not distinguishable from it on test images"
    if told:
        near += (
            f" (paired t test over the seeds, p ≥ 0.05 after Holm's correction for the {told} comparisons of "
            "this table)"
        )
    shown = told or any(contrast.distinguishable is False for contrast in contrasts)
    return f"{best}{f'{near}.' if shown else ''}{ties}"


def unequal_note(cells: Cells, architectures: Mapping[str, str]) -> str:
    """What the recipes of a row's cells differ in beside their augmentation; empty if nothing."""
    found = []
    for architecture, title in architectures.items():
        recipes = [
            result.provenance["recipe"]
            for cell, results in cells.items()
            if cell[0] == architecture
            for result in results
        ]
        knobs = dict.fromkeys(knob for recipe in recipes for knob in recipe if knob not in NO_PART)
        changed = [
            knob.replace("_", " ")
            for knob in knobs
            if any(recipe.get(knob) != recipes[0].get(knob) for recipe in recipes)
        ]
        found += [f"{title} also in {', '.join(changed)}"] if changed else []
    return f"Not only the augmentation differs between a row's cells: {'; '.join(found)}." if found else ""


def every_cell(architectures: Iterable[str], augmentations: Iterable[str]) -> list[tuple[str, str]]:
    """All cells of the grid, whether or not they were run, row by row."""
    return list(product(architectures, augmentations))


def _published(cell: tuple[str, str], metric: str) -> float | None:
    published = published_result("grid", "-".join(cell), metric)
    return published.value if published else None


def grid_rows(
    estimates: Mapping[tuple[str, str], Estimate],
    comparison: Comparison,
    *,
    metric: str,
    architectures: Iterable[str],
    augmentations: Iterable[str],
) -> pd.DataFrame:
    """Long form: one row a cell; `same_dataset` says whether `published` was measured on our data.

    `mark` is that of the table (see `marked_estimates`); a cell that was not run has `n` 0.
    """
    return pd.DataFrame(
        [
            {
                "architecture": architecture,
                "augmentation": augmentation,
                "n": value.n,
                "mean": value.mean,
                "std": value.std,
                "published": _published((architecture, augmentation), metric),
                "dataset": comparison.dataset,
                "same_dataset": comparison.same_dataset,
                "mark": value.mark,
            }
            for architecture, augmentation in every_cell(architectures, augmentations)
            for value in [estimates.get((architecture, augmentation), Estimate(math.nan, None, 0))]
        ]
    )


def error_table(
    cells: Cells,
    metric: str,
    *,
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
    comparison: Comparison,
) -> Table:
    """One row an architecture, one column an augmentation, in the order of these mappings to titles."""
    estimates = marked_estimates(cells, metric)
    notes = (
        comparison.verdict,
        unequal_note(cells, architectures),
        spread_note(list(estimates.values())),
        marks_note(cells, metric),
    )
    return Table(
        caption=f"{METRICS[metric]} (%) on {dataset_title(comparison.dataset)}, test images",
        header=("Method", *augmentations.values()),
        rows=tuple(
            (title, *[estimates.get((architecture, name), NOT_RUN) for name in augmentations])
            for architecture, title in architectures.items()
        ),
        notes=tuple(filter(None, notes)),
        published_label=comparison.label,
    )
