"""Maps of the features of test images, by the SimCLR encoder and by a random one."""

from typing import TYPE_CHECKING

from triptych.report.feature_map_figure import feature_map_figure
from triptych.report.results import read_history
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, simclr: str, random: str, target: str) -> None:
    """`simclr` and `random` are map files."""
    with house_style():
        maps = {"SimCLR": read_history(simclr), "Random encoder": read_history(random)}
        save_svg(feature_map_figure(maps), target)


if "snakemake" in globals():
    with job(snakemake):
        main(simclr=snakemake.input.simclr, random=snakemake.input.random, target=snakemake.output[0])
