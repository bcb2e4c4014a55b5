"""Sharpness of a scene's frames."""

from typing import TYPE_CHECKING

from triptych.report.results import read_history
from triptych.report.scene_figures import sharpness_figure
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, frames: str, target: str) -> None:
    """Draw the manifest `frames`."""
    with house_style():
        save_svg(sharpness_figure(read_history(frames)), target)


if "snakemake" in globals():
    with job(snakemake):
        main(frames=snakemake.input.frames, target=snakemake.output[0])
