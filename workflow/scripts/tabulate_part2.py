"""Tables of part 2: errors in the published layout and against it, differences, costs; parameters."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from triptych.report.part2_contrasts import contrast_rows, contrast_tables
from triptych.report.part2_costs import cost_rows, cost_table, parameter_rows, parameter_tables
from triptych.report.part2_grid import METRICS, Grid, read_grid
from triptych.report.part2_tables import error_rows, error_table, published_rows, published_tables
from triptych.report.results import read_result
from triptych.report.tables import Table, write_tables
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

Tables = dict[str, tuple[Sequence[Table], pd.DataFrame]]


def grid_tables(grid: Grid) -> Tables:
    """Tables for readers and rows for machines, by name."""
    top1, top5 = METRICS
    return {
        "top1": ([error_table(grid, top1)], error_rows(grid, top1)),
        "top5": ([error_table(grid, top5)], error_rows(grid, top5)),
        "published": (published_tables(grid), published_rows(grid)),
        "differences": (
            [table for metric in METRICS for table in contrast_tables(grid, metric)],
            contrast_rows(grid),
        ),
        "cost": ([cost_table(grid)], cost_rows(grid)),
    }


def parameter_counts(path: str) -> Tables:
    """Likewise, of the file with the counted parameters."""
    models = read_result(path).values["models"]
    return {"parameters": (parameter_tables(models), parameter_rows(models))}


def main(inputs: Any, params: Any, outputs: Mapping[str, Sequence[str]]) -> None:
    """Write the outputs from a rule's named inputs and params."""
    if "parameters" in outputs:
        tables = parameter_counts(inputs.parameters)
    else:
        tables = grid_tables(read_grid(dataset=inputs.dataset, metrics=inputs.metrics, **params.titles))
    for name, targets in outputs.items():
        write_tables(*tables[name], targets)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.params, dict(snakemake.output.items()))
