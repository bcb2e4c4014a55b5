"""Tables of part 2: errors in the published layout and against it, differences, costs; parameters."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from triptych.report.class_results import class_rows, class_table
from triptych.report.part2_contrasts import contrast_rows, contrast_tables
from triptych.report.part2_costs import cost_rows, cost_table, parameter_rows, parameter_tables
from triptych.report.part2_grid import METRICS, Grid, read_grid
from triptych.report.part2_tables import (
    balanced_table,
    error_rows,
    error_table,
    published_rows,
    published_tables,
)
from triptych.report.results import read_result
from triptych.report.tables import Table, write_tables
from triptych.workflow.job import job

Tables = dict[str, tuple[Sequence[Table], pd.DataFrame]]


def grid_tables(grid: Grid, names: Iterable[str]) -> Tables:
    """Tables for readers and rows for machines, by name."""
    top1, top5 = METRICS
    make: dict[str, Callable[[], tuple[Sequence[Table], pd.DataFrame]]] = {
        "top1": lambda: ([error_table(grid, top1)], error_rows(grid, top1)),
        "top5": lambda: ([error_table(grid, top5)], error_rows(grid, top5)),
        "balanced": lambda: ([balanced_table(grid)], error_rows(grid, "test_balanced_accuracy")),
        "classes": lambda: (
            [class_table(grid.shown_cells(), grid.dataset.values, all_classes=True)],
            class_rows({"-".join(cell): runs for cell, runs in grid.cells.items()}, grid.dataset.values),
        ),
        "published": lambda: (published_tables(grid), published_rows(grid)),
        "differences": lambda: (
            [table for metric in grid.metrics for table in contrast_tables(grid, metric)],
            contrast_rows(grid),
        ),
        "cost": lambda: ([cost_table(grid)], cost_rows(grid)),
    }
    return {name: make[name]() for name in names}


def parameter_counts(path: str) -> Tables:
    """Likewise, of the file with the counted parameters."""
    models = read_result(path).values["models"]
    return {"parameters": (parameter_tables(models), parameter_rows(models))}


def main(inputs: Any, params: Any, outputs: Mapping[str, Sequence[str]]) -> None:
    """Write the outputs from a rule's named inputs and params."""
    if "parameters" in outputs:
        tables = parameter_counts(inputs.parameters)
    else:
        grid = read_grid(dataset=inputs.dataset, metrics=inputs.metrics, **params.titles)
        tables = grid_tables(grid, outputs)
    for name, targets in outputs.items():
        write_tables(*tables[name], targets)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.params, dict(snakemake.output.items()))
