"""Part 2's costs: training time and operations of each cell, and parameters of the report's networks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any

import pandas as pd

from triptych.report.class_results import CHANCE, chance_text
from triptych.report.part2_grid import NOT_RUN, Grid
from triptych.report.results import Result, describe_machine, duration
from triptych.report.tables import Cell as Value
from triptych.report.tables import Table

PETA = 1e15
COSTS = ("parameters", "epochs", "training_flops", "images_per_second")


def _machine(hardware: Mapping[str, Any]) -> str:
    """One line about a machine, for trainings on a CPU with their number of threads."""
    text = describe_machine(hardware)
    threads = hardware.get("threads")
    if threads is None or "gpu" in hardware:
        return text
    return f"{text}; {threads} {'threads' if threads > 1 else 'thread'} a training"


def _costs(results: Sequence[Result], metrics: Iterable[str]) -> dict[str, Any]:
    """Means over the seeds, and all the machines that they ran on."""
    return {
        **{name: fmean(result.number(name) for result in results) for name in (*metrics, *COSTS)},
        "wall_seconds": fmean(float(result.provenance["wall_seconds"]) for result in results),
        "hardware": " / ".join(dict.fromkeys(_machine(result.provenance["hardware"]) for result in results)),
    }


def cost_rows(grid: Grid) -> pd.DataFrame:
    """Long form: one row per cell; one that was not run has `n` 0 and nothing else."""
    rows = []
    for cell in grid.every_cell:
        results = grid.cells.get(cell, [])
        row = {"architecture": cell[0], "augmentation": cell[1], "n": len(results)}
        rows.append(row | (_costs(results, grid.metrics) if results else {}))
    return pd.DataFrame(rows)


def cost_table(grid: Grid) -> Table:
    """One row per cell: errors, FLOPs, time and speed of one training; machines below, several by number."""
    errors = [grid.estimates(metric) for metric in grid.metrics]
    costs = {cell: _costs(results, grid.metrics) for cell, results in grid.cells.items()}
    machines = dict.fromkeys(cost["hardware"] for cost in costs.values())
    numbers = {machine: f"{number}" for number, machine in enumerate(machines, 1)}
    columns: dict[str, Callable[[Mapping[str, Any]], Value]] = {
        "Parameters": lambda cost: round(cost["parameters"]),
        "Epochs": lambda cost: f"{cost['epochs']:g}",
        "Operations (PFLOP)": lambda cost: f"{cost['training_flops'] / PETA:.3g}",
        "Wall time": lambda cost: duration(cost["wall_seconds"]),
        "Images per second": lambda cost: f"{cost['images_per_second']:.0f}",
    }
    if len(machines) > 1:
        columns["Machine"] = lambda cost: numbers[cost["hardware"]]
    rows: list[tuple[Value, ...]] = [
        (
            grid.title(cell),
            *[values[cell] for values in errors],
            *[show(costs[cell]) for show in columns.values()],
        )
        if cell in costs
        else (grid.title(cell), NOT_RUN, *[None] * (len(errors) + len(columns) - 1))
        for cell in grid.every_cell
    ]
    levels = [chance_text(grid.dataset.values, metric) for metric in grid.metrics]
    if None not in levels:
        rows.append((CHANCE, *levels, *[None] * len(columns)))
    return Table(
        caption="Training cost of one seed",
        header=("Cell", *[f"{title} (%, ↓)" for title in grid.metrics.values()], *columns),
        rows=rows,
        notes=(
            *(
                f"Machine{f' {number}' * (len(machines) > 1)}: {machine}."
                for machine, number in numbers.items()
            ),
            "PFLOP: 10¹⁵ floating-point operations of matrix products and convolutions. An image counts "
            "three forward passes an epoch; operations inside recurrent layers are not counted.",
            "Wall time is a mean over the seeds and includes evaluation. Cells that share a machine slow "
            "each other down.",
        ),
    )


def _within_formula(model: Mapping[str, Any]) -> int:
    return sum(int(line["count"]) for line in model["lines"] if line["in_formula"])


def parameter_rows(models: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Long form: one row per part of a model, and one row `total` with the published count."""
    rows = []
    for name, model in models.items():
        parts = [(line["part"], line["count"], bool(line["in_formula"]), None) for line in model["lines"]]
        sums = [
            ("total", model["total"], None, model.get("published_count")),
            ("within the formula", _within_formula(model), None, model.get("published_formula")),
        ]
        rows += [(name, *row) for row in parts + sums]
    table = pd.DataFrame(rows, columns=["model", "part", "parameters", "in_formula", "published"])
    return table.astype({"published": "Int64", "in_formula": "boolean"})


def parameter_tables(models: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """Counted and published totals of all models, then one table per model."""
    columns: dict[str, Callable[[Mapping[str, Any]], Value]] = {
        "Model": lambda model: str(model["title"]),
        "Counted here": lambda model: int(model["total"]),
        "Published count": lambda model: model.get("published_count"),
        "Counted here, parts of the formula": _within_formula,
        "Published by formula": lambda model: model.get("published_formula"),
        "Counted here, outside the formula": lambda model: int(model["total"]) - _within_formula(model),
    }
    rows = [tuple(show(model) for show in columns.values()) for model in models.values()]
    summary = Table("Trainable parameters", tuple(columns), rows)
    return [summary, *map(_part_table, models.values())]


def _part_table(model: Mapping[str, Any]) -> Table:
    """One model's parameters, part by part; the sum of the rows is the counted total."""
    lines = [
        (str(line["part"]), int(line["count"]), "yes" if line["in_formula"] else "no")
        for line in model["lines"]
    ]
    return Table(
        caption=f"{model['title']}: parameters by part",
        header=("Part", "Parameters", "In the published formula"),
        rows=[*lines, ("Total", int(model["total"]), "")],
    )
