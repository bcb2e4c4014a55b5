"""Validation errors of the whole grid, every cell over the others."""

from typing import TYPE_CHECKING

from triptych.report.comparison import same_dataset
from triptych.report.grid_overview_figure import grid_overview_figure
from triptych.report.grid_table import grid_estimates
from triptych.report.results import group_cells, read_history, read_result, read_results
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    dataset: str,
    metrics: list[str],
    architectures: dict[str, str],
    augmentations: dict[str, str],
    target: str,
) -> None:
    """`metrics` of all cells and seeds, with their histories beside; the others map names to titles."""
    cells = group_cells(
        read_results(metrics), architectures=list(architectures), augmentations=list(augmentations)
    )
    histories = {
        cell: [read_history(result.path.with_name("history.csv")) for result in results]
        for cell, results in cells.items()
    }
    with house_style():
        figure = grid_overview_figure(
            histories,
            test_errors=grid_estimates(cells, "test_top1_error"),
            architectures=architectures,
            augmentations=augmentations,
            with_published=same_dataset("grid", read_result(dataset).values),
        )
        save_svg(figure, target)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            metrics=snakemake.input.metrics,
            architectures=snakemake.params.architectures,
            augmentations=snakemake.params.augmentations,
            target=snakemake.output[0],
        )
