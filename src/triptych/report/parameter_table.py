"""Trainable parameters: counted on the modules, beside the published sums, line by line."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from triptych.report.render_table import Table


def _within_formula(model: Mapping[str, Any]) -> int:
    return sum(int(line["count"]) for line in model["lines"] if line["in_formula"])


def parameter_rows(models: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """Long form: one row a part of a model, and one row `total` with the published count."""
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


def summary_table(models: Mapping[str, Mapping[str, Any]]) -> Table:
    """One row a model: counted and published totals, and what the published formula leaves out."""
    return Table(
        caption="Trainable parameters",
        header=(
            "Model",
            "Counted",
            "Published count",
            "Counted, formula's parts",
            "Published formula",
            "Outside the formula",
        ),
        rows=tuple(
            (
                str(model["title"]),
                int(model["total"]),
                model.get("published_count"),
                _within_formula(model),
                model.get("published_formula"),
                int(model["total"]) - _within_formula(model),
            )
            for model in models.values()
        ),
    )


def part_table(model: Mapping[str, Any]) -> Table:
    """One model's parameters, part by part; the sum of the rows is the counted total."""
    lines = [
        (str(line["part"]), int(line["count"]), "yes" if line["in_formula"] else "no")
        for line in model["lines"]
    ]
    return Table(
        caption=f"{model['title']}: parameters by part",
        header=("Part", "Parameters", "In the published formula"),
        rows=(*lines, ("Total", int(model["total"]), "")),
    )


def parameter_tables(models: Mapping[str, Mapping[str, Any]]) -> list[Table]:
    """The summary, then one table a model."""
    return [summary_table(models), *map(part_table, models.values())]
