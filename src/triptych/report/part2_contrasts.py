"""Part 2's differences between cells: paired by seed, by family of contrasts, as rows and as tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations, product

import pandas as pd

from triptych.report.part2_grid import METRICS, NOT_RUN, Cell, Grid
from triptych.report.statistics import (
    MIN_SEEDS,
    POWER,
    SIGNIFICANCE_LEVEL,
    Difference,
    Noise,
    comparisons,
    count_range,
    holm,
    least_detectable,
    paired_difference,
    pooled_noise,
)
from triptych.report.tables import Table

COLUMNS = (
    *("metric", "against", "architecture", "augmentation", "minus_architecture", "minus_augmentation"),
    *("n", "mean", "low", "high", "p", "p_holm", "distinguishable", "least_detectable"),
)
IGNORED_KNOBS = ("augmentation", "device")  # the column itself, and a knob without effect on results


@dataclass(frozen=True)
class Contrast:
    """A cell minus a reference cell; `p_holm` is corrected for all contrasts of its family.

    `detectable`: the least difference that the test finds with 80 % probability, in percentage points; None
    without a test.
    """

    cell: Cell
    reference: Cell
    difference: Difference
    p_holm: float | None
    detectable: float | None

    @property
    def distinguishable(self) -> bool | None:
        """Whether the difference is significant; None if there is no test."""
        return None if self.p_holm is None else self.p_holm < SIGNIFICANCE_LEVEL


def tested_pairs(grid: Grid, metric: str, pairs: Sequence[tuple[Cell, Cell]]) -> list[Contrast]:
    """Test pairs of a cell and its reference, with the noise of all cells of their architectures."""

    @cache
    def noise(architectures: frozenset[str]) -> Noise | None:
        rows = [results for cell, results in grid.cells.items() if cell[0] in architectures]
        return pooled_noise(rows, metric)

    noises = [noise(frozenset((cell[0], reference[0]))) for cell, reference in pairs]
    differences = [
        paired_difference(grid.cells[cell], grid.cells[reference], metric, found)
        for (cell, reference), found in zip(pairs, noises, strict=True)
    ]
    adjusted = holm([difference.p for difference in differences])
    tested = sum(p is not None for p in adjusted)
    return [
        Contrast(
            *pair,
            difference,
            p,
            least_detectable(found, difference.n, tested) if found and p is not None else None,
        )
        for pair, difference, p, found in zip(pairs, differences, adjusted, noises, strict=True)
    ]


def against_baseline(grid: Grid, metric: str) -> list[Contrast]:
    """Each other augmentation minus the baseline, within each architecture that was run with it."""
    pairs = [(cell, (cell[0], grid.baseline)) for cell in grid.cells if cell[1] != grid.baseline]
    return tested_pairs(grid, metric, [pair for pair in pairs if pair[1] in grid.cells])


def against_best(grid: Grid, metric: str) -> list[Contrast]:
    """Each other augmentation minus the best in validation, within each architecture."""
    best = grid.best_in_validation(metric)
    pairs = [(cell, best[cell[0]]) for cell in grid.cells if cell[0] in best and cell != best[cell[0]]]
    return tested_pairs(grid, metric, pairs)


def between_architectures(grid: Grid, metric: str) -> list[Contrast]:
    """Each architecture minus each one before it, within each augmentation."""
    rows = dict.fromkeys(architecture for architecture, _ in grid.cells)
    columns = dict.fromkeys(augmentation for _, augmentation in grid.cells)
    pairs = [((row, column), (before, column)) for before, row in combinations(rows, 2) for column in columns]
    return tested_pairs(grid, metric, [pair for pair in pairs if set(pair) <= set(grid.cells)])


FAMILIES = {
    "baseline": against_baseline,
    "best_in_validation": against_best,
    "architecture": between_architectures,
}


def contrast_rows(grid: Grid) -> pd.DataFrame:
    """Long form: one row per contrast of each metric (percentage points), by family."""
    rows = []
    for metric, (family, contrasts_of) in product(grid.metrics, FAMILIES.items()):
        for contrast in contrasts_of(grid, metric):
            found = contrast.difference
            numbers = found.n, found.mean, found.low, found.high, found.p, contrast.p_holm
            cells = *contrast.cell, *contrast.reference
            rows.append((metric, family, *cells, *numbers, contrast.distinguishable, contrast.detectable))
    return pd.DataFrame(rows, columns=COLUMNS)


def contrast_tables(grid: Grid, metric: str) -> list[Table]:
    """One table per family, without those that have no contrast."""
    baseline, columns = grid.augmentations[grid.baseline], list(grid.augmentations)
    without = [title for name, title in grid.architectures.items() if (name, grid.baseline) not in grid.cells]
    note = f"Not here, as {baseline} was not run: {', '.join(without)}." if without else ""
    others = [name for name in columns if name != grid.baseline]
    tables = [
        _table(grid, metric, f"minus that of {baseline}", against_baseline, others, note),
        _table(grid, metric, "minus that of the best in validation", against_best, columns),
        _table(grid, metric, "between architectures", between_architectures, columns),
    ]
    return [table for table in tables if table.rows]


def _table(
    grid: Grid,
    metric: str,
    caption: str,
    contrasts_of: Callable[[Grid, str], list[Contrast]],
    columns: Sequence[str],
    note: str = "",
) -> Table:
    """One row per architecture, or a pair of them, and one column per augmentation."""
    contrasts, best = contrasts_of(grid, metric), grid.best_in_validation(metric)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for contrast in contrasts:
        row = rows.setdefault((contrast.cell[0], contrast.reference[0]), {})
        row[contrast.cell[1]] = f"{contrast.difference}{' *' if contrast.distinguishable else ''}"
        if best.get(contrast.cell[0]) == contrast.reference:
            row.setdefault(contrast.reference[1], "best")
    within_rows = all(len(set(names)) == 1 for names in rows)

    def title(names: tuple[str, str]) -> str:
        return " − ".join(grid.architectures[name] for name in (names[:1] if within_rows else names))

    def missing(names: tuple[str, str], column: str) -> str | None:
        return NOT_RUN if any((name, column) not in grid.cells for name in names) else None

    return Table(
        caption=f"{METRICS[metric]} in percentage points: {caption}",
        header=("Architecture", *[grid.augmentations[name] for name in columns]),
        rows=[
            (title(names), *[row.get(name) or missing(names, name) for name in columns])
            for names, row in rows.items()
        ],
        notes=(contrast_note(contrasts), unequal_note(grid) if within_rows else "", note),
    )


def contrast_note(contrasts: Sequence[Contrast]) -> str:
    """How to read the numbers of a family: what they are, how they are tested, and what they do not cover."""
    tested = [contrast for contrast in contrasts if contrast.p_holm is not None]
    if not tested:
        few = f"No interval with fewer than {MIN_SEEDS} seeds that vary."
        return f"Test error minus test error; below zero is better. {few}"
    untested = f" Without an interval: fewer than {MIN_SEEDS} pairs." if len(tested) < len(contrasts) else ""
    return (
        "Test error minus test error, mean over the seeds [95 % confidence interval]; below zero is better. "
        "*: distinguishable from zero, p < 0.05 after Holm's correction for the "
        f"{comparisons(len(tested))} of this table. The intervals are of "
        f"n = {count_range(contrast.difference.n for contrast in tested)} pairs by Student's t, with a "
        "variance pooled over all cells of the architectures, and are not corrected. They cover the "
        "variation between seeds, not that between test images. "
        f"{detectable_note(tested)}{untested}"
    )


def detectable_note(contrasts: Sequence[Contrast]) -> str:
    """The least difference that the tests of a family find, over its contrasts; empty without a test."""
    least = sorted(contrast.detectable for contrast in contrasts if contrast.detectable is not None)
    if not least:
        return ""
    ends = dict.fromkeys(f"{end:.2f}" for end in (least[0], least[-1]))
    return (
        f"A true difference of {' to '.join(ends)} percentage points is detected with a probability of "
        f"{POWER:.0%}; smaller ones are often missed.".replace("%", " %")
    )


def unequal_note(grid: Grid) -> str:
    """The knobs beside the augmentation in which the recipes of a row's cells differ; empty if none."""
    found = []
    for architecture, title in grid.architectures.items():
        recipes = [
            result.provenance["recipe"]
            for cell, results in grid.cells.items()
            if cell[0] == architecture
            for result in results
        ]
        knobs = dict.fromkeys(knob for recipe in recipes for knob in recipe if knob not in IGNORED_KNOBS)
        changed = [
            knob.replace("_", " ")
            for knob in knobs
            if any(recipe.get(knob) != recipes[0].get(knob) for recipe in recipes)
        ]
        found += [f"{title} also in {', '.join(changed)}"] if changed else []
    text = "The cells of an architecture differ in more than the augmentation."
    return f"{text} {'; '.join(found)}." if found else ""
