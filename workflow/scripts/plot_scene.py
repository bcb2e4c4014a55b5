"""Sharpness of a scene's frames, and the training of its radiance field."""

from typing import TYPE_CHECKING

from triptych.report.results import read_history
from triptych.report.scene_figures import sharpness_figure, training_figure
from triptych.report.style import house_style, save_svg
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, frames: str, history: str, sharpness: str, training: str) -> None:
    """Draw the manifest `frames` and the field's `history`."""
    with house_style():
        save_svg(sharpness_figure(read_history(frames)), sharpness)
        save_svg(training_figure(read_history(history)), training)


if "snakemake" in globals():
    with job(snakemake):
        main(
            frames=snakemake.input.frames,
            history=snakemake.input.history,
            sharpness=snakemake.output.sharpness,
            training=snakemake.output.training,
        )
