"""What each cell of the grid costs, beside its error."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from triptych.report.grid_contrasts import Cell, Cells
from triptych.report.grid_table import METRICS, NOT_RUN, every_cell, grid_estimates
from triptych.report.overview import describe_machine, duration
from triptych.report.render_table import Cell as Value
from triptych.report.render_table import Table
from triptych.report.results import Result

PETA = 1e15
NUMBERS = (
    "test_top1_error",
    "test_top5_error",
    "parameters",
    "epochs",
    "training_flops",
    "images_per_second",
)


def _machine(hardware: Mapping[str, Any]) -> str:
    """A machine, and how much of it a training took where that decides its time."""
    text = describe_machine(dict(hardware))
    threads = hardware.get("threads")
    if threads is None or "gpu" in hardware:
        return text
    return f"{text}; {threads} {'threads' if threads > 1 else 'thread'} a training"


def _machines(results: Sequence[Result]) -> str:
    """All machines that these runs were made on."""
    return " / ".join(dict.fromkeys(_machine(result.provenance["hardware"]) for result in results))


def _wall_seconds(results: Sequence[Result]) -> float:
    return fmean(float(result.provenance["wall_seconds"]) for result in results)


def cost_rows(cells: Cells, *, architectures: Iterable[str], augmentations: Iterable[str]) -> pd.DataFrame:
    """Long form: one row a cell, with means over its seeds and all the machines that they ran on.

    A cell that was not run has `n` 0 and nothing else.
    """
    rows = []
    for cell in every_cell(architectures, augmentations):
        results = cells.get(cell, [])
        row: dict[str, Any] = {"architecture": cell[0], "augmentation": cell[1], "n": len(results)}
        if results:
            row |= {name: fmean(result.number(name) for result in results) for name in NUMBERS}
            row |= {"wall_seconds": _wall_seconds(results), "hardware": _machines(results)}
        rows.append(row)
    return pd.DataFrame(rows)


def cost_table(cells: Cells, *, architectures: Mapping[str, str], augmentations: Mapping[str, str]) -> Table:
    """One row a cell: errors, FLOPs, time and speed of one training; machines by number below."""
    errors = [grid_estimates(cells, metric) for metric in METRICS]
    machines = {cell: _machines(results) for cell, results in cells.items()}
    numbers = {machine: f"{n}" for n, machine in enumerate(dict.fromkeys(machines.values()), 1)}

    def row(cell: Cell) -> tuple[Value, ...]:
        results = cells.get(cell)
        if not results:
            return (NOT_RUN, *[None] * 7)
        return (
            *[estimates[cell] for estimates in errors],
            round(fmean(result.number("parameters") for result in results)),
            f"{fmean(result.number('epochs') for result in results):g}",
            f"{fmean(result.number('training_flops') for result in results) / PETA:.3g}",
            duration(_wall_seconds(results)),
            f"{fmean(result.number('images_per_second') for result in results):.0f}",
            numbers[machines[cell]],
        )

    return Table(
        caption="Training cost of one seed",
        header=(
            "Cell",
            *[f"{title} (%)" for title in METRICS.values()],
            "Parameters",
            "Epochs",
            "PFLOP",
            "Wall time",
            "Images/s",
            "Machine",
        ),
        rows=tuple(
            (f"{architectures[cell[0]]}, {augmentations[cell[1]]}", *row(cell))
            for cell in every_cell(architectures, augmentations)
        ),
        notes=(
            *(f"Machine {number}: {machine}." for machine, number in numbers.items()),
            "PFLOP: 10¹⁵ floating-point operations of matrix products and convolutions, three forward passes "
            "an image and epoch; what recurrent layers do inside is not counted. Wall time with evaluation, "
            "means over the seeds; cells that share a machine slow each other down.",
        ),
        published_label=None,
    )
