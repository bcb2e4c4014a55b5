"""Part II of the page: the tables and figures of the grid, with their captions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych.report.answers import grid_answer
from triptych.report.class_results import chance_words, class_table, resolution_note, resolution_words
from triptych.report.conclusions import conclusions
from triptych.report.part2_confusion import confusable_groups
from triptych.report.part2_contrasts import contrast_tables, unequal_note
from triptych.report.part2_costs import cost_table, parameter_tables
from triptych.report.part2_grid import Grid, read_grid
from triptych.report.part2_overfitting import overfitting_answer, read_overfitting
from triptych.report.part2_tables import balanced_table, error_table, grid_warnings, published_tables
from triptych.report.published import published_epochs, published_recipes
from triptych.report.results import read_results
from triptych.report.sections import Headline, Section, settings_of_checks, with_settings
from triptych.report.statistics import arrow


def grid_section(
    *,
    results: Mapping[str, Any],
    parameters: str | Path | None,
    figures: Mapping[str, Any],
    checked: Sequence[str | Path] = (),
    subsets: Sequence[str | Path] = (),
    subset_data: Sequence[str | Path] = (),
) -> Section:
    """Part II of the page.

    Args:
        results: arguments of `read_grid`.
        parameters: counts of the report's networks, shown beside results of one of them.
        checked: what the checks of the data set wrote.
        figures: `overview`, `overfitting`, `confusion` and, if it was drawn, `gallery`; `curves` and
            `attention` by architecture.
        subsets: metrics of the baselines on parts of the training images.
        subset_data: `dataset.json` of each part.
    """
    grid = read_grid(**results)
    of_report = any(name in published_recipes()["models"] for name in grid.architectures)
    counted = read_results([parameters] if parameters and of_report else [])
    overfitting = read_overfitting(grid, subsets, subset_data)
    shown, own, dataset = grid.shown_cells(), grid.comparison.own, grid.dataset.values
    by_class = [balanced_table(grid), class_table(shown, dataset, all_classes=False)] if own else []
    first, *others = [error_table(grid, metric) for metric in grid.metrics]
    found = grid_answer(grid)
    answer = replace(
        found,
        warnings=grid_warnings(grid),
        caveats=[
            *found.caveats,
            grid.comparison.verdict,
            unequal_note(grid),
            resolution_note(dataset, "test_balanced_accuracy") if own else "",
        ],
    )
    same, groups = grid.repeats_published, confusable_groups(dataset)
    return Section(
        title="architecture × augmentation",
        headline=_headline(grid),
        comparison=grid.comparison,
        results=[grid.dataset, *read_results(results["metrics"]), *read_results(subsets), *counted],
        answers=[answer, *([*conclusions(grid), overfitting_answer(overfitting)] if same else [])],
        tables={
            "errors": [with_settings(first, settings_of_checks("grid", checked)), *others, *by_class],
            "published": published_tables(grid) if same else [],
            "differences": contrast_tables(grid, "test_top1_error"),
            "cost": [cost_table(grid)],
            "parameters": [
                table for result in counted for table in parameter_tables(result.values["models"])
            ],
        },
        figures=figures,
        words={
            "grid": grid,
            "gallery": _same_in_every_row(grid),
            "groups": groups and groups.kind,
            "logged": [name for name in figures["curves"] if published_epochs(f"{name}-baseline")],
        },
    )


def _same_in_every_row(grid: Grid) -> str:
    """`crops and mirrors`: what every augmentation of the grid shares."""
    recipe = next(iter(grid.cells.values()))[0].provenance["recipe"]["base_augmentation"]
    names = {"padding": "crops", "flip": "mirrors", "degrees": "rotations"}
    *others, last = [name for knob, name in names.items() if recipe.get(knob)] or ["images"]
    return f"{', '.join(others)} and {last}" if others else last


def _headline(grid: Grid) -> Headline:
    """The test error of the cell with the least validation error; of own images its balanced accuracy."""
    validation = grid.estimates("validation_top1_error")
    best = min(validation, key=lambda cell: validation[cell].mean)
    metric, kind = "test_top1_error", "top-1 error"
    if grid.comparison.own:
        metric, kind = "test_balanced_accuracy", "balanced accuracy"
    error = grid.estimates(metric)[best]
    meaning = f"{kind} ({arrow(metric)}), {grid.title(best)} (best in validation)"
    meaning += chance_words(grid.dataset.values, metric)
    if grid.comparison.own:
        meaning += resolution_words(grid.dataset.values, metric)
    elif grid.comparison.same_dataset and error.published is not None:
        meaning += f"; published {error.published:.2f} %"
    return Headline(f"{error.mean:.1f}", "%", meaning, error.source)
