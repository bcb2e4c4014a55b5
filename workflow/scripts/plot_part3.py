"""Figures of a scene of part 3, each named by the output of its rule."""

from typing import TYPE_CHECKING

from triptych.report.figures import report_style, save_svg
from triptych.report.part3 import sharpness_figure, training_figure
from triptych.report.results import read_history
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

FIGURES = {"sharpness": sharpness_figure, "training": training_figure}


def main(figure: str, table: str, target: str) -> None:
    """Draw one of `FIGURES` from the manifest of the frames, or from the history of the training."""
    with report_style():
        save_svg(FIGURES[figure](read_history(table)), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input.table, target)
