"""Architecture x augmentation: test errors in the published layout."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from triptych.report.comparison import Comparison, compare
from triptych.report.estimates import Estimate, estimate, spread_note
from triptych.report.published import published_result
from triptych.report.render_table import Table
from triptych.report.results import Result
from triptych.report.titles import dataset_title

Cells = Mapping[tuple[str, str], Sequence[Result]]


def grid_comparison(cells: Cells, dataset: Mapping[str, Any]) -> Comparison:
    """Compare the grid's data set, networks and epochs with the published ones."""
    first = {cell: results[0] for cell, results in cells.items()}
    return compare(
        "grid",
        dataset,
        epochs={"-".join(cell): int(result.number("epochs")) for cell, result in first.items()},
        models={
            cell[0]: result.provenance["recipe"]["architecture"]["options"] for cell, result in first.items()
        },
    )


def grid_estimates(cells: Cells, metric: str) -> dict[tuple[str, str], Estimate]:
    """`test_top1_error` or `test_top5_error` (percent) of every cell over its seeds."""
    estimates = {}
    for cell, results in cells.items():
        published = published_result("grid", "-".join(cell), metric)
        estimates[cell] = estimate(results, metric, published=published.value if published else None)
    return estimates


def grid_rows(estimates: Mapping[tuple[str, str], Estimate], comparison: Comparison) -> pd.DataFrame:
    """Long form: one row a cell; `same_dataset` says whether `published` was measured on our data."""
    return pd.DataFrame(
        [
            {
                "architecture": architecture,
                "augmentation": augmentation,
                "n": value.n,
                "mean": value.mean,
                "std": value.std,
                "published": value.published,
                "dataset": comparison.dataset,
                "same_dataset": comparison.same_dataset,
            }
            for (architecture, augmentation), value in estimates.items()
        ]
    )


def grid_table(
    estimates: Mapping[tuple[str, str], Estimate],
    *,
    metric_title: str,
    architectures: Mapping[str, str],
    augmentations: Mapping[str, str],
    comparison: Comparison,
) -> Table:
    """One row an architecture, one column an augmentation, in the order of these mappings to titles."""
    return Table(
        caption=f"{metric_title} (%) on {dataset_title(comparison.dataset)}, test images",
        header=("Method", *augmentations.values()),
        rows=tuple(
            (title, *[estimates[architecture, name] for name in augmentations])
            for architecture, title in architectures.items()
        ),
        notes=(comparison.verdict, spread_note(list(estimates.values()))),
        published_label=comparison.label,
    )
