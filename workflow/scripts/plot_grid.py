"""Curves of one architecture of the grid, a row an augmentation."""

from typing import TYPE_CHECKING

from triptych.report.comparison import same_dataset
from triptych.report.grid_figure import grid_figure
from triptych.report.results import read_history, read_result
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *, dataset: str, architecture: str, histories: dict[str, list[str]], titles: dict[str, str], target: str
) -> None:
    """`histories` has the files of all seeds by augmentation, `titles` the augmentations' titles."""
    curves = {name: [read_history(path) for path in paths] for name, paths in histories.items()}
    same = same_dataset("grid", read_result(dataset).values)
    with house_style():
        figure = grid_figure(curves, architecture=architecture, titles=titles, with_published=same)
        save_svg(figure, target)


if "snakemake" in globals():
    with job(snakemake):
        titles = snakemake.params.augmentations
        seeds = len(snakemake.input.histories) // len(titles)
        main(
            dataset=snakemake.input.dataset,
            architecture=snakemake.wildcards.architecture,
            # The rule lists all seeds of the first augmentation, then of the next.
            histories={
                name: snakemake.input.histories[seeds * index : seeds * (index + 1)]
                for index, name in enumerate(titles)
            },
            titles=titles,
            target=snakemake.output[0],
        )
