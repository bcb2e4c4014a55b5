"""Self-supervision: a linear probe on the SimCLR encoder, beside its two bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from triptych.report.comparison import Comparison, compare
from triptych.report.estimates import Estimate, estimate, spread_note
from triptych.report.published import published_result
from triptych.report.render_table import Table
from triptych.report.results import Result, read_results
from triptych.report.self_supervision_recipes import recipe_differences
from triptych.report.titles import dataset_title

METHODS = {
    "simclr_linear_probe": "SimCLR + linear probe",
    "supervised_resnet18": "Supervised",
    "random_linear_probe": "Random encoder + linear probe",
}
METRICS = {"test_top1_accuracy": "Top-1 accuracy", "test_top5_accuracy": "Top-5 accuracy"}
ENCODERS = {"simclr": "SimCLR", "random": "Random encoder"}
Methods = Mapping[str, Sequence[Result]]


@dataclass(frozen=True)
class Evaluation:
    """One more measure of the encoders: `runs` has the result files of all seeds by encoder."""

    name: str
    title: str
    runs: Methods


def read_evaluations(files: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
    """Evaluations from their `name`, `title` and `runs`, which are paths here."""
    return [
        Evaluation(
            item["name"],
            item["title"],
            {encoder: read_results(paths) for encoder, paths in item["runs"].items()},
        )
        for item in files
    ]


def self_supervision_comparison(
    methods: Methods, simclr: Result, dataset: Mapping[str, Any], epochs: Mapping[str, int]
) -> Comparison:
    """Compare data set, network, epochs and recipes.

    Args:
        methods: by the keys of `METHODS`.
        simclr: the pretraining.
        dataset: the values of `dataset.json`.
        epochs: by `simclr`, `linear_probe` and `supervised`.
    """
    supervised = methods["supervised_resnet18"][0].provenance["recipe"]
    probe = methods["simclr_linear_probe"][0].provenance["recipe"]
    return compare(
        "self_supervision",
        dataset,
        epochs=epochs,
        models={("resnet18",): supervised["architecture"]["options"]},
        others=recipe_differences(simclr.provenance["recipe"], supervised, probe),
    )


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
    estimates: Mapping[tuple[str, str], Estimate],
    comparison: Comparison,
    evaluations: Sequence[Evaluation] = (),
) -> pd.DataFrame:
    """Long form: one row a metric and method; `evaluations` as methods named `simclr_knn` and so on."""
    more = {
        ("test_top1_accuracy", f"{encoder}_{evaluation.name}"): estimate(results, "test_top1_accuracy")
        for evaluation in evaluations
        for encoder, results in evaluation.runs.items()
    }
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
            for (metric, method), value in {**estimates, **more}.items()
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


def evaluations_table(evaluations: Sequence[Evaluation], dataset: str) -> Table:
    """One row an evaluation, one column an encoder."""
    estimates = {
        (evaluation.name, encoder): estimate(results, "test_top1_accuracy")
        for evaluation in evaluations
        for encoder, results in evaluation.runs.items()
    }
    return Table(
        caption=f"The same encoders asked in other ways: top-1 accuracy (%) on {dataset_title(dataset)}",
        header=("Evaluation", *ENCODERS.values()),
        rows=tuple(
            (evaluation.title, *[estimates.get((evaluation.name, encoder)) for encoder in ENCODERS])
            for evaluation in evaluations
        ),
        notes=(
            spread_note(list(estimates.values())),
            "Each seed has its own encoder and its own draw of the labelled images.",
        ),
        published_label=None,
    )
