"""Self-supervision: a linear probe on the SimCLR encoder, beside its two bounds."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from triptych.report.comparison import Comparison, compare
from triptych.report.estimates import Estimate, estimate, spread_note
from triptych.report.published import published_result
from triptych.report.render_table import Table
from triptych.report.results import Result
from triptych.report.titles import dataset_title

METHODS = {
    "simclr_linear_probe": "SimCLR + linear probe",
    "supervised_resnet18": "Supervised",
    "random_linear_probe": "Random encoder + linear probe",
}
METRICS = {"test_top1_accuracy": "Top-1 accuracy", "test_top5_accuracy": "Top-5 accuracy"}
Methods = Mapping[str, Sequence[Result]]


def self_supervision_comparison(
    methods: Methods, dataset: Mapping[str, Any], epochs: Mapping[str, int]
) -> Comparison:
    """Compare data set, network and epochs; `epochs` by `simclr`, `linear_probe` and `supervised`."""
    width = methods["simclr_linear_probe"][0].provenance["recipe"]["width"]
    return compare("self_supervision", dataset, epochs=epochs, models={"resnet18": {"width": width}})


def self_supervision_estimates(methods: Methods) -> dict[tuple[str, str], Estimate]:
    """Test accuracies (percent) by metric and method; `methods` has the keys of `METHODS`."""
    estimates = {}
    for metric in METRICS:
        for method in METHODS:
            published = published_result("self_supervision", method, metric)
            estimates[metric, method] = estimate(
                methods[method], metric, published=published.value if published else None
            )
    return estimates


def self_supervision_rows(
    estimates: Mapping[tuple[str, str], Estimate], comparison: Comparison
) -> pd.DataFrame:
    """Long form: one row a metric and method."""
    return pd.DataFrame(
        [
            {
                "method": method,
                "metric": metric,
                "n": value.n,
                "mean": value.mean,
                "std": value.std,
                "published": value.published,
                "dataset": comparison.dataset,
                "same_dataset": comparison.same_dataset,
            }
            for (metric, method), value in estimates.items()
        ]
    )


def self_supervision_table(estimates: Mapping[tuple[str, str], Estimate], comparison: Comparison) -> Table:
    """One row a metric, one column a method."""
    return Table(
        caption=f"Test accuracy (%) on {dataset_title(comparison.dataset)}, ResNet18",
        header=("Metric", *METHODS.values()),
        rows=tuple(
            (title, *[estimates[metric, method] for method in METHODS]) for metric, title in METRICS.items()
        ),
        notes=(
            comparison.verdict,
            spread_note(list(estimates.values())),
            "The published values are the best of many evaluations on the test set, one seed; "
            "ours are one test evaluation a seed, which chose nothing.",
        ),
        published_label=comparison.label,
    )
