"""What each architecture takes for what."""

from typing import TYPE_CHECKING

import numpy as np

from triptych.report.grid_confusion import grid_confusion_figure
from triptych.report.results import group_cells, read_result, read_results
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    dataset: str,
    labels: str,
    metrics: list[str],
    architectures: dict[str, str],
    augmentations: dict[str, str],
    target: str,
) -> None:
    """`metrics` of all cells and seeds, with their predictions beside; the others map names to titles."""
    cells = group_cells(
        read_results(metrics), architectures=list(architectures), augmentations=list(augmentations)
    )
    with house_style():
        figure = grid_confusion_figure(
            cells,
            read_result(dataset).values,
            np.load(labels),
            architectures=architectures,
            augmentations=augmentations,
        )
        save_svg(figure, target)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            labels=snakemake.input.labels,
            metrics=snakemake.input.metrics,
            architectures=snakemake.params.architectures,
            augmentations=snakemake.params.augmentations,
            target=snakemake.output[0],
        )
