"""The grid's tables: test errors in the published layout and against it, differences, costs."""

from typing import TYPE_CHECKING

from triptych.report.difference_tables import difference_tables
from triptych.report.grid_contrasts import baseline_of, contrast_rows
from triptych.report.grid_costs import cost_rows, cost_table
from triptych.report.grid_table import METRICS, error_table, grid_comparison, grid_rows, marked_estimates
from triptych.report.published_table import published_rows, published_tables
from triptych.report.render_table import write_tables
from triptych.report.results import group_cells, read_result, read_results
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

TABLES = ("top1", "top5", "published", "differences", "cost")


def main(
    *,
    dataset: str,
    metrics: list[str],
    architectures: dict[str, str],
    augmentations: dict[str, str],
    stems: dict[str, str],
) -> None:
    """`architectures` and `augmentations` map names to titles; `stems` has one for each of `TABLES`."""
    titles = {"architectures": architectures, "augmentations": augmentations}
    cells = group_cells(
        read_results(metrics), architectures=list(architectures), augmentations=list(augmentations)
    )
    comparison = grid_comparison(cells, read_result(dataset).values)
    for name, metric in zip(("top1", "top5"), METRICS, strict=True):
        rows = grid_rows(marked_estimates(cells, metric), comparison, metric=metric, **titles)
        table = error_table(cells, metric, comparison=comparison, **titles)
        write_tables([table], rows, stem=stems[name])
    held = published_tables(cells, comparison, **titles)
    write_tables(held, published_rows(cells, comparison), stem=stems["published"])
    differences = [table for metric in METRICS for table in difference_tables(cells, metric, **titles)]
    contrasts = contrast_rows(cells, list(METRICS), baseline_of(augmentations))
    write_tables(differences, contrasts, stem=stems["differences"])
    write_tables([cost_table(cells, **titles)], cost_rows(cells, **titles), stem=stems["cost"])


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            metrics=snakemake.input.metrics,
            architectures=snakemake.params.architectures,
            augmentations=snakemake.params.augmentations,
            stems={name: snakemake.output[f"{name}_csv"].removesuffix(".csv") for name in TABLES},
        )
