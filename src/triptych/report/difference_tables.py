"""Paired differences of the grid as tables: one a family of contrasts."""

from collections.abc import Callable, Mapping, Sequence

from triptych.report.grid_contrasts import (
    Cells,
    Contrast,
    against_baseline,
    against_best,
    baseline_of,
    best_in_validation,
    between_architectures,
)
from triptych.report.grid_table import METRICS, NOT_RUN, unequal_note
from triptych.report.render_table import Table

Titles = Mapping[str, str]


def difference_tables(
    cells: Cells, metric: str, *, architectures: Titles, augmentations: Titles
) -> list[Table]:
    """Against the baseline, against the best in validation, between architectures, where there are such."""
    baseline = baseline_of(augmentations)
    best = best_in_validation(cells, metric)
    unequal = unequal_note(cells, architectures)

    def missing(names: tuple[str, str], column: str) -> str | None:
        """Why a row has no difference there."""
        return NOT_RUN if any((name, column) not in cells for name in names) else None

    apart = [title for name, title in architectures.items() if (name, baseline) not in cells]
    without = f"Not here, as {augmentations[baseline]} was not run: {', '.join(apart)}." if apart else ""

    def table(
        caption: str,
        contrasts: list[Contrast],
        columns: list[str],
        row_of: Callable[[Contrast], str],
        more: str = "",
    ) -> Table:
        within = all(contrast.ours[0] == contrast.theirs[0] for contrast in contrasts)
        shown: dict[tuple[str, str], tuple[str, dict[str, str]]] = {}
        for contrast in contrasts:
            names = contrast.ours[0], contrast.theirs[0]
            _, row = shown.setdefault(names, (row_of(contrast), {}))
            row[contrast.ours[1]] = f"{contrast.difference}{' *' if contrast.distinguishable else ''}"
            if best.get(contrast.ours[0]) == contrast.theirs:
                row.setdefault(contrast.theirs[1], "best")
        return Table(
            caption=f"{METRICS[metric]} in percentage points: {caption}",
            header=("Method", *[augmentations[name] for name in columns]),
            rows=tuple(
                (title, *[row.get(name) or missing(names, name) for name in columns])
                for names, (title, row) in shown.items()
            ),
            notes=tuple(filter(None, (difference_note(contrasts), unequal if within else "", more))),
            published_label=None,
        )

    tables = [
        table(
            f"minus that of {augmentations[baseline]}",
            against_baseline(cells, metric, baseline),
            [name for name in augmentations if name != baseline],
            lambda contrast: architectures[contrast.ours[0]],
            without,
        ),
        table(
            "minus that of the best in validation",
            against_best(cells, metric),
            list(augmentations),
            lambda contrast: architectures[contrast.ours[0]],
        ),
        table(
            "between architectures",
            between_architectures(cells, metric),
            list(augmentations),
            lambda contrast: f"{architectures[contrast.ours[0]]} − {architectures[contrast.theirs[0]]}",
        ),
    ]
    return [table for table in tables if table.rows]


def difference_note(contrasts: Sequence[Contrast]) -> str:
    """What the numbers of a family are, and how far they carry."""
    told = [contrast for contrast in contrasts if contrast.p_holm is not None]
    if not told:
        return (
            "Test error minus test error. No interval: one seed, or pairs that all differ by the same amount."
        )
    counts = sorted({contrast.difference.n for contrast in told})
    shown = " to ".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
    tied = " Without an interval: all pairs differ by the same amount." if len(told) < len(contrasts) else ""
    return (
        f"Test error minus test error, seed by seed: mean [95 % confidence interval] of n = {shown} pairs by "
        f"Student's t. *: distinguishable from zero, p < 0.05 after Holm's correction for the "
        f"{len(told)} comparisons of this table; the intervals are not corrected. They cover the luck of the "
        f"seeds, not that of the test images.{tied}"
    )
