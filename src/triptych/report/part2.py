"""Part II of the page: the tables and figures of the grid, with their captions."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych.report.answers import grid_answer
from triptych.report.class_results import (
    chance_words,
    class_table,
    resolution_note,
    resolution_words,
)
from triptych.report.conclusions import conclusions
from triptych.report.part2_confusion import confusable_groups
from triptych.report.part2_contrasts import contrast_tables, unequal_note
from triptych.report.part2_costs import cost_table, parameter_tables
from triptych.report.part2_grid import Grid, read_grid
from triptych.report.part2_overfitting import overfitting_answer, read_overfitting
from triptych.report.part2_tables import balanced_table, error_table, grid_warnings, published_tables
from triptych.report.published import published_epochs
from triptych.report.results import read_results
from triptych.report.sections import (
    Drawing,
    Headline,
    Section,
    drawing,
    settings_of_checks,
    with_settings,
)
from triptych.report.statistics import arrow

ABOUT_LOGS = (
    " The published logs have no validation loss, and their validation images were augmented. A train loss "
    "with label smoothing is higher than theirs, which has none."
)


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
        parameters: counts of the report's networks; None: they are not shown.
        checked: what the checks of the data set wrote.
        figures: `overview`, `overfitting`, `confusion` and, if it was drawn, `gallery`; `curves` and
            `attention` by architecture.
        subsets: metrics of the baselines on parts of the training images.
        subset_data: `dataset.json` of each part.
    """
    grid, counted = read_grid(**results), read_results([parameters] if parameters else [])
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
    return Section(
        headline=_headline(grid),
        results=[grid.dataset, *read_results(results["metrics"]), *read_results(subsets), *counted],
        tables={
            "errors": [
                with_settings(first, settings_of_checks("grid", checked)),
                *others,
                *by_class,
            ],
            "published": published_tables(grid) if grid.comparison.same_dataset else [],
            "differences": contrast_tables(grid, "test_top1_error"),
            "cost": [cost_table(grid)],
            "parameters": [
                table for result in counted for table in parameter_tables(result.values["models"])
            ],
        },
        drawings=list(_drawings(grid, figures)),
        answers=[answer, *conclusions(grid), overfitting_answer(overfitting)]
        if grid.comparison.same_dataset
        else [answer],
        title="architecture × augmentation",
        verdict=grid.comparison.verdict,
        likeness=grid.comparison.likeness,
    )


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


def _drawings(grid: Grid, figures: Mapping[str, Any]) -> Iterable[Drawing]:
    """The gallery, then the overview, the curves, confusion and attention."""
    with_published = grid.comparison.same_dataset
    if "gallery" in figures:
        yield drawing(
            figures["gallery"],
            caption="Training images as the networks see them, transformed by the code of the training. "
            "Every row has the same crops, mirrors and rotations, so that rows differ by their augmentation "
            "alone. Where labels are mixed, their weights are given below the image.",
            description="Gallery: the same training images under each augmentation",
        )
    yield drawing(
        figures["overview"],
        caption="Validation top-1 error (%) of every cell over the epochs, on the same axes. "
        f"{_lines(grid.seeds, with_published)}. Grey: the other cells. Orange: the error on the test images.",
        description="Validation top-1 error of every architecture with every augmentation",
    )
    for name, figure in figures["curves"].items():
        title = grid.architectures[name]
        has_published = with_published and published_epochs(f"{name}-baseline") is not None
        yield drawing(
            figure,
            caption=f"{title}: training and validation curves by augmentation. "
            f"{_lines(grid.seeds, has_published)}.{ABOUT_LOGS if has_published else ''}",
            description=f"Training loss, validation loss and validation errors of {title}",
        )
    yield drawing(
        figures["overfitting"],
        caption="Loss on training images (dashed) and on validation images, mean over the seeds. Mixed "
        "labels and label smoothing raise the loss on augmented training images.",
        description="Train and validation loss by architecture and augmentation",
    )
    groups = confusable_groups(grid.dataset.values)
    runs = "the run" if grid.seeds == 1 else f"all {grid.seeds} seeds together"
    yield drawing(
        figures["confusion"],
        caption=""
        if groups is None
        else f"Test images by {groups.kind}, in percent of each row, for each architecture with its best "
        f"augmentation in validation, {runs}. Shades follow the root of the share; numbers from 4.5 % on. "
        "Neighbours are what is confused most.",
        description="No confusion matrix" if groups is None else f"Confusion by {groups.kind}",
    )
    for name, figure in figures["attention"].items():
        title = grid.architectures[name]
        yield drawing(
            figure,
            caption=f"{title}: what the class token attends to, by attention rollout (Abnar and Zuidema "
            "2020), first seed. Bright patches flow into the prediction, which is given below; wrong "
            "predictions are orange. The maps show the flow through all layers by attention alone, not what "
            "decides the class.",
            description=f"Attention rollout of {title} on test images, by augmentation",
        )


def _lines(seeds: int, with_published: bool) -> str:
    ours = "Blue: this run" if seeds == 1 else "Thin: every seed; thick: their mean"
    return f"{ours}; dashed: the published log" if with_published else ours
