"""Part I of the page: self-supervision, of images with labels."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from triptych.report.answers import self_supervision_answer
from triptych.report.class_results import chance_words, class_table, resolution_note, resolution_words
from triptych.report.part1_results import METHODS, SelfSupervision, read_self_supervision
from triptych.report.part1_tables import (
    PUBLISHED_BEST,
    accuracy_table,
    evaluations_table,
    self_supervision_warnings,
)
from triptych.report.results import PathLike, read_results
from triptych.report.sections import Headline, Section, settings_of_checks, with_settings
from triptych.report.statistics import arrow, decimals, estimate


def _headline(study: SelfSupervision) -> Headline:
    """The accuracy of the first method that was run; without one, the loss of the pretraining."""
    dataset, published = study.dataset.values, ""
    metric, kind = "test_top1_accuracy", "top-1"
    if study.comparison.own:
        metric, kind = "test_balanced_accuracy", "balanced"
    method = next((name for name in METHODS if study.methods[name]), None)
    if method is None:
        losses = estimate(study.pretraining, "final_train_loss")
        return Headline(decimals(losses.mean), "nats", "contrastive loss (↓) of SimCLR", losses.source)
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
    figures: Mapping[str, Any],
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
    own, dataset, comparison = study.comparison.own, study.dataset.values, study.comparison
    settings = settings_of_checks("self_supervision", checked)
    of_map = [note for note in settings if ".feature_map." in note]
    of_others = [note for note in settings if re.search(r"\.(knn|label_fraction|fine_tune)\.", note)]
    of_accuracy = [note for note in settings if note not in (*of_map, *of_others)]
    tables = [with_settings(accuracy_table(study), of_accuracy)]
    if own:
        tables.append(class_table(study.by_title, dataset, all_classes=False))
    if study.evaluation_accuracies:
        tables.append(with_settings(evaluations_table(study), of_others))
    return Section(
        title="self-supervision",
        headline=_headline(study),
        comparison=comparison,
        results=[
            *study.training_results,
            *read_results(features),
            *study.evaluation_results,
            *read_results(maps),
        ],
        answers=[
            replace(
                self_supervision_answer(study.methods, dataset),
                warnings=self_supervision_warnings(study),
                caveats=[
                    comparison.verdict,
                    PUBLISHED_BEST if comparison.same_dataset else "",
                    resolution_note(dataset, "test_balanced_accuracy") if own else "",
                ],
            )
        ],
        tables={"accuracy": tables},
        figures=figures,
        words={
            "intro": f"SimCLR trains {study.architecture} without labels; then this encoder is frozen and a "
            "linear classifier is trained on its features. For comparison, the same network is trained with "
            "all labels, and the same probe on an encoder with random weights.",
            "lines": _lines(study),
            "together": "the run" if _seeds(study) == 1 else f"all {_seeds(study)} seeds together",
            "accuracy": "the probes and of supervised training."
            if "linear_probe" in study.epochs
            else "supervised training and, dotted, of the probes, which have no epochs.",
            "feature_map": " ".join(f"{note}." for note in of_map),
        },
    )


def _seeds(study: SelfSupervision) -> int:
    return max(map(len, [study.pretraining, *study.methods.values()]))


def _lines(study: SelfSupervision) -> str:
    """What thin, thick and dashed lines are in figures of curves."""
    text = "Thin: every seed; thick: their mean. " if _seeds(study) > 1 else ""
    if study.comparison.own:
        return text
    if study.comparison.same_dataset:
        return f"{text}The dashed lines are the published logs."
    return f"{text}The published logs belong to another data set and are not drawn."
