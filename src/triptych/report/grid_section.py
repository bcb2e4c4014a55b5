"""Part II of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.report.grid_table import grid_comparison, grid_estimates, grid_table
from triptych.report.parameter_table import parameter_tables
from triptych.report.results import group_cells, read_result, read_results
from triptych.report.sections import Headline, Section, drawing


def grid_section(
    *,
    dataset: str | Path,
    metrics: Sequence[str | Path],
    parameters: str | Path,
    figures: Sequence[str | Path],
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
) -> Section:
    """Part II from its files; `architectures` and `augmentations` map names to titles, in order.

    `figures` has one file an architecture, in the same order.
    """
    data, counted, results = read_result(dataset), read_result(parameters), read_results(metrics)
    cells = group_cells(results, architectures=list(architectures), augmentations=list(augmentations))
    comparison = grid_comparison(cells, data.values)
    top1, top5 = (grid_estimates(cells, metric) for metric in ("test_top1_error", "test_top5_error"))
    # The cell of the headline is chosen where every choice is made: on the validation images.
    validation = grid_estimates(cells, "validation_top1_error")
    best = min(validation, key=lambda cell: validation[cell].mean)
    name = f"{architectures[best[0]]}, {augmentations[best[1]]}"
    models: Mapping[str, Mapping[str, Any]] = counted.values["models"]
    many = "Thin: every seed; thick: their mean. " if top1[best].n > 1 else ""
    over = "Dashed: the published logs." if comparison.same_dataset else ""
    return Section(
        headline=Headline(
            f"{top1[best].mean:.1f}", "%", f"top-1 error, {name} (best in validation)", top1[best].source
        ),
        results=[data, *results, counted],
        tables=[
            *(
                grid_table(
                    estimates,
                    metric_title=title,
                    architectures=architectures,
                    augmentations=augmentations,
                    comparison=comparison,
                )
                for title, estimates in (("Top-1 error", top1), ("Top-5 error", top5))
            ),
            *parameter_tables(models),
        ],
        drawings=[
            drawing(
                figure,
                caption=f"{title}: training and validation curves by augmentation. {many}{over}",
                description=f"Curves of {title}",
            )
            for figure, title in zip(figures, architectures.values(), strict=True)
        ],
        verdict=comparison.verdict,
        likeness=comparison.likeness,
    )
