"""Attention rollouts of one architecture."""

from typing import TYPE_CHECKING

from triptych.report.attention_figure import attention_figure
from triptych.report.results import read_result
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job
from triptych.workflow.named_arrays import read_arrays

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, dataset: str, rollouts: str, titles: dict[str, str], target: str) -> None:
    """`titles` of the augmentations, in the order of the rollouts."""
    classes = read_result(dataset).values["classes"]
    with house_style():
        save_svg(attention_figure(read_arrays(rollouts), titles=titles, classes=classes), target)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            rollouts=snakemake.input.rollouts,
            titles=snakemake.params.augmentations,
            target=snakemake.output[0],
        )
