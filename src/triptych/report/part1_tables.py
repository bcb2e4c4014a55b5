"""Part 1's tables: accuracies of the methods, and other evaluations of the same encoders."""

import pandas as pd

from triptych.report.class_results import (
    CHANCE,
    chance_note,
    chance_text,
    one_class_warnings,
    resolution_note,
)
from triptych.report.part1_results import METHODS, SelfSupervision
from triptych.report.part2_grid import NOT_RUN
from triptych.report.published import dataset_title
from triptych.report.results import WARNED, test_looks_note, warnings_of
from triptych.report.statistics import spread_note
from triptych.report.tables import Table

PUBLISHED_BEST = "The published values are the best of many evaluations on the test set, one seed."
ENCODERS = {"simclr": "SimCLR", "random": "Random encoder"}


def accuracy_rows(study: SelfSupervision) -> pd.DataFrame:
    """Long form: one row per metric and method; evaluations are methods named `simclr_knn` and so on."""
    evaluations = {
        ("test_top1_accuracy", f"{encoder}_{name}"): value
        for (name, encoder), value in study.evaluation_accuracies.items()
    }
    return pd.DataFrame(
        [
            {
                "method": method,
                "metric": metric,
                **value.numbers(),
                "dataset": study.comparison.dataset,
                "same_dataset": study.comparison.same_dataset,
            }
            for (metric, method), value in {**study.accuracies, **evaluations}.items()
        ]
    )


def accuracy_table(study: SelfSupervision) -> Table:
    """One row per metric, one column per method."""
    comparison, accuracies, dataset = study.comparison, study.accuracies, study.dataset.values
    levels = [chance_text(dataset, metric) for metric in study.metrics]
    return Table(
        caption=f"Test accuracy (%) on {dataset_title(comparison.dataset)}, {study.architecture} (↑)",
        header=("Metric", *METHODS.values(), *([CHANCE] if None not in levels else [])),
        rows=[
            (
                title,
                *[accuracies.get((metric, method), NOT_RUN) for method in METHODS],
                *([level] if None not in levels else []),
            )
            for (metric, title), level in zip(study.metrics.items(), levels, strict=True)
        ],
        notes=(
            *(f"{WARNED} {line}" for line in self_supervision_warnings(study)),
            comparison.verdict,
            spread_note(accuracies.values()),
            PUBLISHED_BEST if comparison.label else "",
            test_looks_note(study.by_title),
            chance_note(dataset),
            *(resolution_note(dataset, metric) for metric in study.metrics if "top5" not in metric),
        ),
        published_label=comparison.label,
    )


def evaluations_table(study: SelfSupervision) -> Table:
    """One row per evaluation, one column per encoder."""
    accuracies, dataset = study.evaluation_accuracies, dataset_title(study.comparison.dataset)
    level = chance_text(study.dataset.values, "test_top1_accuracy")
    return Table(
        caption=f"Other evaluations of the same encoders: top-1 accuracy (%) on {dataset} (↑)",
        header=("Evaluation", *ENCODERS.values(), *([CHANCE] if level else [])),
        rows=[
            (title, *[accuracies.get((name, encoder)) for encoder in ENCODERS], *([level] if level else []))
            for name, title in study.evaluation_titles.items()
            if any((name, encoder) in accuracies for encoder in ENCODERS)
        ],
        notes=(
            spread_note(accuracies.values()),
            "Each seed has its own encoder and its own draw of the labelled images.",
            chance_note(study.dataset.values),
        ),
    )


def self_supervision_warnings(study: SelfSupervision) -> list[str]:
    """Warnings in the logs of the trainings and evaluations, and of networks that know one class alone."""
    return [
        *warnings_of([*study.training_results, *study.evaluation_results]),
        *one_class_warnings(study.by_title, study.dataset.values),
    ]
