"""Gallery of the augmentations."""

from typing import TYPE_CHECKING

from triptych.report.augmentation_figure import augmentation_figure
from triptych.report.results import read_result
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job
from triptych.workflow.named_arrays import read_arrays

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, dataset: str, examples: str, titles: dict[str, str], target: str) -> None:
    """`titles` of the augmentations, in the order of the examples."""
    classes = read_result(dataset).values["classes"]
    with house_style():
        save_svg(augmentation_figure(read_arrays(examples), titles=titles, classes=classes), target)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            examples=snakemake.input.examples,
            titles=snakemake.params.augmentations,
            target=snakemake.output[0],
        )
