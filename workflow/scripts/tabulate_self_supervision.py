"""Accuracy of the probe on the SimCLR encoder, beside its bounds and the published figures."""

from typing import TYPE_CHECKING, Any

from triptych.report.render_table import write_tables
from triptych.report.results import read_history, read_result, read_results
from triptych.report.self_supervision_table import (
    evaluations_table,
    read_evaluations,
    self_supervision_comparison,
    self_supervision_estimates,
    self_supervision_rows,
    self_supervision_table,
)
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(
    *,
    dataset: str,
    methods: dict[str, list[str]],
    simclr: list[str],
    histories: dict[str, str],
    evaluations: list[dict[str, Any]],
    stem: str,
) -> None:
    """`methods` by our names, `simclr` of the pretraining, `histories` by published run."""
    epochs = {run: int(read_history(path)["epoch"].max()) for run, path in histories.items()}
    groups = {name: read_results(paths) for name, paths in methods.items()}
    pretraining, data = read_result(simclr[0]), read_result(dataset).values
    comparison = self_supervision_comparison(groups, pretraining, data, epochs)
    estimates = self_supervision_estimates(groups)
    others = read_evaluations(evaluations)
    write_tables(
        [self_supervision_table(estimates, comparison), evaluations_table(others, comparison.dataset)],
        self_supervision_rows(estimates, comparison, others),
        stem=stem,
    )


if "snakemake" in globals():
    with job(snakemake):
        main(
            dataset=snakemake.input.dataset,
            **snakemake.params.parts,
            stem=snakemake.output.csv.removesuffix(".csv"),
        )
