"""Test errors of the grid in the published layout."""

from typing import TYPE_CHECKING

from triptych.report.grid_table import grid_comparison, grid_estimates, grid_rows, grid_table
from triptych.report.render_table import write_tables
from triptych.report.results import group_cells, read_result, read_results
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

METRICS = {"top1": ("test_top1_error", "Top-1 error"), "top5": ("test_top5_error", "Top-5 error")}


def main(
    *,
    dataset: str,
    metrics: list[str],
    architectures: dict[str, str],
    augmentations: dict[str, str],
    stems: dict[str, str],
) -> None:
    """`architectures` and `augmentations` map names to titles; `stems` has a table for each metric."""
    cells = group_cells(
        read_results(metrics), architectures=list(architectures), augmentations=list(augmentations)
    )
    comparison = grid_comparison(cells, read_result(dataset).values)
    for name, stem in stems.items():
        metric, title = METRICS[name]
        estimates = grid_estimates(cells, metric)
        table = grid_table(
            estimates,
            metric_title=title,
            architectures=architectures,
            augmentations=augmentations,
            comparison=comparison,
        )
        write_tables([table], grid_rows(estimates, comparison), stem=stem)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            metrics=snakemake.input.metrics,
            architectures=snakemake.params.architectures,
            augmentations=snakemake.params.augmentations,
            stems={name: snakemake.output[f"{name}_csv"].removesuffix(".csv") for name in METRICS},
        )
