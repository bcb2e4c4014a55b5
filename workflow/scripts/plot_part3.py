"""Figures of a scene of part 3, each named by the output of its rule."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.report.figures import save_figure
from triptych.report.part3 import sharpness_figure, training_figure
from triptych.report.results import read_history
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(figure: str, table: str, target: str, thumbnails: str | None = None) -> None:
    """Draw `sharpness` from the manifest of the frames, or `training` from the history of the training."""
    rows = read_history(table)
    if figure == "sharpness":
        save_figure(lambda: sharpness_figure(rows, None if thumbnails is None else Path(thumbnails)), target)
    else:
        save_figure(lambda: training_figure(rows), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input.table, target, snakemake.input.get("thumbnails"))
