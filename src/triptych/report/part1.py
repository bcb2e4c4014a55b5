"""Part 1, self-supervision: its results, the tables of accuracies, and its section of the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from triptych.report.answers import self_supervision_answer
from triptych.report.class_results import (
    CHANCE,
    chance_note,
    chance_text,
    chance_words,
    class_table,
    has_top5,
    one_class_mark,
    one_class_warnings,
    resolution_note,
    resolution_words,
)
from triptych.report.comparison import Comparison, compare, own_data, self_supervision_differences
from triptych.report.part2_grid import NOT_RUN
from triptych.report.published import dataset_title, is_own, published_value
from triptych.report.results import (
    WARNED,
    Result,
    read_history,
    read_result,
    read_results,
    test_looks_note,
    warnings_of,
)
from triptych.report.sections import Headline, Section, drawing, settings_of_checks, with_settings
from triptych.report.statistics import Estimate, arrow, estimate, spread_note
from triptych.report.tables import Table

METHODS = {
    "simclr_linear_probe": "SimCLR + linear probe",
    "supervised_resnet18": "Supervised",
    "random_linear_probe": "Random encoder + linear probe",
}
PUBLISHED_BEST = "The published values are the best of many evaluations on the test set, one seed."
RESNET18 = "triptych.models.resnet"  # the published network
METRICS = {"test_top1_accuracy": "Top-1 accuracy", "test_top5_accuracy": "Top-5 accuracy"}
BALANCED = {"test_balanced_accuracy": "Balanced accuracy"}
ENCODERS = {"simclr": "SimCLR", "random": "Random encoder"}
PathLike = str | Path


@dataclass(frozen=True)
class SelfSupervision:
    """Results of part 1.

    Attributes:
        dataset: `dataset.json`.
        methods: results of all seeds by method, a key of `METHODS`.
        pretraining: results of the SimCLR pretraining, all seeds.
        epochs: number of epochs by published run: `simclr`, `linear_probe`, `supervised`.
        evaluations: results of further evaluations, by name and encoder.
        evaluation_titles: titles of these evaluations by name.
        architecture: title of the network.
    """

    dataset: Result
    methods: Mapping[str, Sequence[Result]]
    pretraining: Sequence[Result]
    epochs: Mapping[str, int]
    evaluations: Mapping[str, Mapping[str, Sequence[Result]]] = field(default_factory=dict)
    evaluation_titles: Mapping[str, str] = field(default_factory=dict)
    architecture: str = "ResNet18"

    @cached_property
    def comparison(self) -> Comparison:
        """Data set, network, epochs and recipes beside the published ones."""
        if is_own(self.dataset.values):
            return own_data(self.dataset.values)
        simclr, supervised, probe = (
            results[0].provenance["recipe"] if results else None
            for results in (
                self.pretraining,
                self.methods["supervised_resnet18"],
                self.methods["simclr_linear_probe"],
            )
        )
        network = next((recipe["architecture"] for recipe in (supervised, simclr) if recipe), None)
        return compare(
            "self_supervision",
            self.dataset.values,
            epochs=self.epochs,
            models={("resnet18",): network["options"]} if network else {},
            others=[
                *(["another network"] if network and network["module"] != RESNET18 else []),
                *self_supervision_differences(simclr, supervised, probe),
            ],
        )

    @property
    def metrics(self) -> dict[str, str]:
        """Titles of the accuracies that say something about this data set."""
        metrics = dict(METRICS)
        if not has_top5(self.dataset.values):
            del metrics["test_top5_accuracy"]
        return metrics | (BALANCED if self.comparison.own else {})

    @property
    def by_title(self) -> dict[str, Sequence[Result]]:
        """The results of all seeds by the method's title, of the methods that were run."""
        return {title: self.methods[method] for method, title in METHODS.items() if self.methods[method]}

    @property
    def pretraining_mark(self) -> str:
        """Marks what is measured on the encoder of a pretraining that has a warning."""
        return WARNED if warnings_of(self.pretraining) else ""

    @cached_property
    def accuracies(self) -> dict[tuple[str, str], Estimate]:
        """Test accuracies (percent) by metric and method."""
        return {
            (metric, method): estimate(
                self.methods[method],
                metric,
                published=None
                if self.comparison.own
                else published_value("self_supervision", method, metric),
            )
            .marked(self.pretraining_mark if method == "simclr_linear_probe" else "")
            .marked(one_class_mark(self.methods[method], self.dataset.values))
            for metric in self.metrics
            for method in METHODS
            if self.methods[method]
        }

    @cached_property
    def evaluation_accuracies(self) -> dict[tuple[str, str], Estimate]:
        """Test top-1 accuracies (percent) by evaluation and encoder."""
        return {
            (name, encoder): estimate(results, "test_top1_accuracy").marked(
                self.pretraining_mark if encoder == "simclr" else ""
            )
            for name, runs in self.evaluations.items()
            for encoder, results in runs.items()
            if results
        }


def read_self_supervision(
    *,
    dataset: PathLike,
    methods: Mapping[str, Sequence[PathLike]],
    simclr: Sequence[PathLike],
    histories: Mapping[str, Sequence[PathLike]],
    evaluations: Sequence[Mapping[str, Any]],
    architecture: str = "ResNet18",
) -> SelfSupervision:
    """Read part 1: metrics by method, of the pretraining and the evaluations; histories by published run.

    What was not run has empty lists.
    """
    return SelfSupervision(
        dataset=read_result(dataset),
        methods={name: read_results(paths) for name, paths in methods.items()},
        pretraining=read_results(simclr),
        epochs={run: int(read_history(paths[0])["epoch"].max()) for run, paths in histories.items() if paths},
        evaluations={
            item["name"]: {encoder: read_results(paths) for encoder, paths in item["runs"].items()}
            for item in evaluations
        },
        evaluation_titles={item["name"]: item["title"] for item in evaluations},
        architecture=architecture,
    )


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
            (
                title,
                *[accuracies.get((name, encoder)) for encoder in ENCODERS],
                *([level] if level else []),
            )
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
    runs = [[study.dataset], study.pretraining, *study.methods.values()]
    runs += [results for encoders in study.evaluations.values() for results in encoders.values()]
    return [
        *warnings_of(result for results in runs for result in results),
        *one_class_warnings(study.by_title, study.dataset.values),
    ]


def _headline(study: SelfSupervision) -> Headline:
    """The accuracy of the first method that was run; without one, the loss of the pretraining."""
    dataset, published = study.dataset.values, ""
    metric, kind = "test_top1_accuracy", "top-1"
    if study.comparison.own:
        metric, kind = "test_balanced_accuracy", "balanced"
    method = next((name for name in METHODS if study.methods[name]), None)
    if method is None:
        losses = estimate(study.pretraining, "final_train_loss")
        return Headline(f"{losses.mean:.2f}", "nats", "contrastive loss (↓) of SimCLR", losses.source)
    best = study.accuracies[metric, method]
    if study.comparison.same_dataset and best.published is not None:
        published = f"; published {best.published:.2f} %"
    coarse = resolution_words(dataset, metric) if study.comparison.own else ""
    meaning = f"{kind} accuracy ({arrow(metric)}), {METHODS[method]}{chance_words(dataset, metric)}"
    return Headline(f"{best.mean:.1f}", "%", f"{meaning}{coarse}{published}", best.source)


def self_supervision_section(
    *,
    results: Mapping[str, Any],
    features: Sequence[PathLike],
    maps: Sequence[PathLike],
    figures: Mapping[str, PathLike],
    checked: Sequence[PathLike] = (),
) -> Section:
    """Part I of the page.

    Args:
        results: arguments of `read_self_supervision`.
        features: metrics of the cached features, whose provenance the page shows.
        maps: metrics of the feature maps, likewise.
        checked: what the checks of the data set wrote.
        figures: `loss`, `neighbours`, `accuracy`, `confusion` and `feature_map`, as far as they were drawn.
    """
    study = read_self_supervision(**results)
    seeds = max(map(len, [study.pretraining, *study.methods.values()]))
    lines = "Thin: every seed; thick: their mean. " if seeds > 1 else ""
    own, dataset = study.comparison.own, study.dataset.values
    if own:
        pass
    elif study.comparison.same_dataset:
        lines += "The dashed lines are the published logs."
    else:
        lines += "The published logs belong to another data set and are not drawn."
    if "linear_probe" in study.epochs:
        accuracies = "Validation accuracy of the probes and of supervised training."
    else:
        accuracies = (
            "Validation accuracy of supervised training and, dotted, of the probes, which have no epochs."
        )
    settings = settings_of_checks("self_supervision", checked)
    of_map = [note for note in settings if ".feature_map." in note]
    of_others = [note for note in settings if re.search(r"\.(knn|label_fraction|fine_tune)\.", note)]
    of_accuracy = [note for note in settings if note not in (*of_map, *of_others)]
    captions = {
        "loss": (f"The contrastive loss of the pretraining. {lines}", "SimCLR loss by epoch"),
        "neighbours": (
            "Training images, classified by their nearest neighbours among other training images "
            "while the encoder learns. The encoder sees these images, but no labels.",
            "Accuracy of nearest neighbours by minutes of pretraining",
        ),
        "accuracy": (f"{accuracies} {lines}", "Validation accuracy by epoch"),
        "confusion": (
            "Test images by class, in percent of each row, all seeds together. Shades follow the "
            "root of the share; numbers from 4.5 % on. Neighbours are what is confused most.",
            "Confusion of the linear probe on SimCLR's features and of supervised training",
        ),
        "feature_map": (
            " ".join(
                [
                    "Features of test images, laid out by t-SNE without labels. Colours are classes.",
                    *(f"{note}." for note in of_map),
                ]
            ),
            "Maps of the features of the SimCLR encoder and of a random one",
        ),
    }
    return Section(
        headline=_headline(study),
        results=[
            study.dataset,
            *study.pretraining,
            *(result for runs in study.methods.values() for result in runs),
            *read_results(features),
            *(result for runs in study.evaluations.values() for seeds in runs.values() for result in seeds),
            *read_results(maps),
        ],
        tables={
            "accuracy": [
                with_settings(accuracy_table(study), of_accuracy),
                *([class_table(study.by_title, dataset, all_classes=False)] if own else []),
                *(
                    [with_settings(evaluations_table(study), of_others)]
                    if study.evaluation_accuracies
                    else []
                ),
            ]
        },
        drawings=[
            drawing(figures[name], caption=caption, description=description)
            for name, (caption, description) in captions.items()
            if name in figures
        ],
        title="self-supervision",
        intro=f"SimCLR trains {study.architecture} without labels; then this encoder is frozen and a linear "
        "classifier is trained on its features. For comparison, the same network is trained with all labels, "
        "and the same probe on an encoder with random weights.",
        answers=[
            replace(
                self_supervision_answer(study.methods, dataset),
                warnings=self_supervision_warnings(study),
                caveats=[
                    study.comparison.verdict,
                    PUBLISHED_BEST if study.comparison.same_dataset else "",
                    resolution_note(dataset, "test_balanced_accuracy") if own else "",
                ],
            )
        ],
        verdict=study.comparison.verdict,
        likeness=study.comparison.likeness,
    )
