"""The training of a scene's radiance field."""

from typing import TYPE_CHECKING

from triptych.report.results import read_history
from triptych.report.scene_figures import training_figure
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, history: str, target: str) -> None:
    """Draw the field's `history`."""
    with house_style():
        save_svg(training_figure(read_history(history)), target)


if "snakemake" in globals():
    with job(snakemake):
        main(history=snakemake.input.history, target=snakemake.output[0])
