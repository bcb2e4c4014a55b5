"""Counted parameters beside the published sums, line by line."""

from typing import TYPE_CHECKING

from triptych.report.parameter_table import parameter_rows, parameter_tables
from triptych.report.render_table import write_tables
from triptych.report.results import read_result
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(*, parameters: str, stem: str) -> None:
    """Tabulate the counts in the file `parameters`."""
    models = read_result(parameters).values["models"]
    write_tables(parameter_tables(models), parameter_rows(models), stem=stem)


if "snakemake" in globals():
    with job(snakemake):
        main(parameters=snakemake.input.parameters, stem=snakemake.output.csv.removesuffix(".csv"))
