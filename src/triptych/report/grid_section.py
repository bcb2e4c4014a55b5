"""Part II of the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.report.difference_tables import difference_tables
from triptych.report.grid_contrasts import Cells
from triptych.report.grid_costs import cost_table
from triptych.report.grid_drawings import grid_drawings
from triptych.report.grid_table import METRICS, error_table, grid_comparison, grid_estimates
from triptych.report.parameter_table import parameter_tables
from triptych.report.published_table import published_tables
from triptych.report.render_table import Table
from triptych.report.results import group_cells, read_result, read_results
from triptych.report.sections import Headline, Section


@dataclass(frozen=True, kw_only=True)
class GridSection(Section):
    """Part II, ready for the template; `tables` are its test errors, `published` theirs against the report's.

    `published` is empty where no cell was run on the published data set.
    """

    published: list[Table]
    differences: list[Table]
    cost: Table
    parameters: list[Table]


def grid_section(
    *,
    dataset: str | Path,
    metrics: Sequence[str | Path],
    parameters: str | Path,
    gallery: str | Path,
    overview: str | Path,
    curves: Mapping[str, str | Path],
    confusion: str | Path,
    attention: Mapping[str, str | Path],
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
) -> GridSection:
    """Part II from its files; `architectures` and `augmentations` map names to titles, in order.

    The figures are those of `grid_drawings`.
    """
    data, counted, results = read_result(dataset), read_result(parameters), read_results(metrics)
    cells = group_cells(results, architectures=list(architectures), augmentations=list(augmentations))
    comparison = grid_comparison(cells, data.values)
    titles = {"architectures": architectures, "augmentations": augmentations}
    models: Mapping[str, Mapping[str, Any]] = counted.values["models"]
    return GridSection(
        headline=_headline(cells, **titles),
        results=[data, *results, counted],
        tables=[error_table(cells, metric, comparison=comparison, **titles) for metric in METRICS],
        published=published_tables(cells, comparison, **titles) if comparison.same_dataset else [],
        differences=difference_tables(cells, "test_top1_error", **titles),
        cost=cost_table(cells, **titles),
        parameters=parameter_tables(models),
        drawings=grid_drawings(
            gallery=gallery,
            overview=overview,
            curves=curves,
            confusion=confusion,
            attention=attention,
            titles=architectures,
            dataset=data.values,
            runs=max(map(len, cells.values())),
            with_published=comparison.same_dataset,
        ),
        verdict=comparison.verdict,
        likeness=comparison.likeness,
    )


def _headline(
    cells: Cells, *, architectures: Mapping[str, str], augmentations: Mapping[str, str]
) -> Headline:
    """The test error of the cell that is chosen where every choice is made: on the validation images."""
    validation = grid_estimates(cells, "validation_top1_error")
    best = min(validation, key=lambda cell: validation[cell].mean)
    error = grid_estimates({best: cells[best]}, "test_top1_error")[best]
    name = f"{architectures[best[0]]}, {augmentations[best[1]]}"
    return Headline(f"{error.mean:.1f}", "%", f"top-1 error, {name} (best in validation)", error.source)
