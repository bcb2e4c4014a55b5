"""Curves of the self-supervision part, over the published ones if the data set is the same."""

from typing import TYPE_CHECKING

from triptych.report.comparison import same_dataset
from triptych.report.results import read_history, read_result
from triptych.report.self_supervision_figures import accuracy_figure, loss_figure
from triptych.report.style import house_style, save_svg
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, dataset: str, simclr: list[str], methods: dict[str, list[str]], loss: str, accuracy: str) -> None:
    """`simclr` and `methods` are history files of all seeds; `loss` and `accuracy` the figures."""
    same = same_dataset("self_supervision", read_result(dataset).values)
    histories = {name: [read_history(path) for path in paths] for name, paths in methods.items()}
    with house_style():
        pretraining = [read_history(path) for path in simclr]
        save_svg(loss_figure(pretraining, with_published=same), loss)
        save_svg(accuracy_figure(histories, with_published=same), accuracy)


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
            accuracy=snakemake.output.accuracy,
        )
