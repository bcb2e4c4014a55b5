"""Accuracy of the probe on the SimCLR encoder, beside its bounds and the published figures."""

from typing import TYPE_CHECKING

from triptych.report.render_table import write_tables
from triptych.report.results import read_history, read_result, read_results
from triptych.report.self_supervision_table import (
    self_supervision_comparison,
    self_supervision_estimates,
    self_supervision_rows,
    self_supervision_table,
)
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, dataset: str, methods: dict[str, list[str]], histories: dict[str, str], stem: str) -> None:
    """`methods` by our names, `histories` by the published runs that they correspond to."""
    epochs = {run: int(read_history(path)["epoch"].max()) for run, path in histories.items()}
    groups = {name: read_results(paths) for name, paths in methods.items()}
    comparison = self_supervision_comparison(groups, read_result(dataset).values, epochs)
    estimates = self_supervision_estimates(groups)
    write_tables(
        [self_supervision_table(estimates, comparison)],
        self_supervision_rows(estimates, comparison),
        stem=stem,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            methods={
                "simclr_linear_probe": snakemake.input.probe,
                "supervised_resnet18": snakemake.input.supervised,
                "random_linear_probe": snakemake.input.random,
            },
            histories={
                "simclr": snakemake.input.simclr_history,
                "linear_probe": snakemake.input.probe_history,
                "supervised": snakemake.input.supervised_history,
            },
            stem=snakemake.output.csv.removesuffix(".csv"),
        )
