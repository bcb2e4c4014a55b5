"""Curves of the self-supervision part, over the published ones if the data set is the same."""

from typing import TYPE_CHECKING

from triptych.report.comparison import same_dataset
from triptych.report.estimates import estimate
from triptych.report.results import read_history, read_result, read_results
from triptych.report.self_supervision_figures import accuracy_figure, loss_figure, neighbours_figure
from triptych.report.style import house_style, save_svg
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    dataset: str,
    simclr: list[str],
    methods: dict[str, list[str]],
    loss: str,
    neighbours: str,
    accuracy: str,
) -> None:
    """`simclr` are history files of all seeds; `methods` too, or metrics of what has no epochs."""
    same = same_dataset("self_supervision", read_result(dataset).values)
    pretraining = [read_history(path) for path in simclr]
    histories = {
        name: [read_history(path) for path in paths]
        for name, paths in methods.items()
        if paths[0].endswith(".csv")
    }
    levels = {
        name: estimate(read_results(paths), "validation_top1_accuracy").mean
        for name, paths in methods.items()
        if name not in histories
    }
    with house_style():
        save_svg(loss_figure(pretraining, with_published=same), loss)
        save_svg(neighbours_figure(pretraining), neighbours)
        save_svg(accuracy_figure(histories, levels=levels, with_published=same), accuracy)


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            simclr=snakemake.input.simclr,
            methods={
                "simclr_linear_probe": snakemake.input.probe,
                "supervised_resnet18": snakemake.input.supervised,
                "random_linear_probe": snakemake.input.random,
            },
            loss=snakemake.output.loss,
            neighbours=snakemake.output.neighbours,
            accuracy=snakemake.output.accuracy,
        )
