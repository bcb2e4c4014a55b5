"""Part I of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.report.results import read_history, read_result, read_results
from triptych.report.sections import Headline, Section, drawing
from triptych.report.self_supervision_table import (
    evaluations_table,
    read_evaluations,
    self_supervision_comparison,
    self_supervision_estimates,
    self_supervision_table,
)


def self_supervision_section(
    *,
    dataset: str | Path,
    methods: Mapping[str, Sequence[str | Path]],
    simclr: Sequence[str | Path],
    histories: Mapping[str, str | Path],
    loss: str | Path,
    neighbours: str | Path,
    accuracy: str | Path,
    evaluations: Sequence[Mapping[str, Any]],
    features: Sequence[str | Path],
    maps: Sequence[str | Path],
    feature_map: str | Path,
) -> Section:
    """Part I from its files.

    Args:
        dataset: `dataset.json`.
        methods: metrics by the keys of `METHODS`.
        simclr: metrics of the pretraining.
        histories: by published run.
        loss: figure.
        neighbours: figure.
        accuracy: figure.
        evaluations: for `read_evaluations`.
        features: metrics of the cached features, whose provenance the page shows.
        maps: metrics of the feature maps, likewise.
        feature_map: figure.
    """
    data = read_result(dataset)
    groups = {name: read_results(paths) for name, paths in methods.items()}
    epochs = {run: int(read_history(path)["epoch"].max()) for run, path in histories.items()}
    pretraining = read_results(simclr)
    comparison = self_supervision_comparison(groups, pretraining[0], data.values, epochs)
    estimates = self_supervision_estimates(groups)
    others = read_evaluations(evaluations)
    probe = estimates["test_top1_accuracy", "simclr_linear_probe"]
    over = "The dashed lines are the published logs." if comparison.same_dataset else (
        "The published logs belong to another data set and are not drawn."
    )  # fmt: skip
    many = "Thin: every seed; thick: their mean. " if probe.n > 1 else ""
    return Section(
        headline=Headline(f"{probe.mean:.1f}", "%", "top-1 accuracy, SimCLR + linear probe", probe.source),
        results=[
            data,
            *pretraining,
            *(result for group in groups.values() for result in group),
            *read_results(features),
            *(result for other in others for runs in other.runs.values() for result in runs),
            *read_results(maps),
        ],
        tables=[self_supervision_table(estimates, comparison), evaluations_table(others, comparison.dataset)],
        drawings=[
            drawing(
                loss,
                caption=f"The contrastive loss of the pretraining. {many}{over}",
                description="SimCLR loss by epoch",
            ),
            drawing(
                neighbours,
                caption="Held-out training images, classified by their nearest neighbours among training "
                "images while the encoder learns. The encoder sees none of the labels.",
                description="Accuracy of nearest neighbours by minutes of pretraining",
            ),
            drawing(
                accuracy,
                caption=f"{_accuracy_caption(list(histories))}{many}{over}",
                description="Validation accuracy by epoch",
            ),
            drawing(
                feature_map,
                caption="Features of test images, laid out by t-SNE without labels. Colours are classes.",
                description="Maps of the features of the SimCLR encoder and of a random one",
            ),
        ],
        verdict=comparison.verdict,
        likeness=comparison.likeness,
    )


def _accuracy_caption(runs: Sequence[str]) -> str:
    """What the figure of accuracies shows, given the published runs with epochs."""
    if "linear_probe" in runs:
        return "Validation accuracy of the probes and of supervised training. "
    return "Validation accuracy of supervised training and, dotted, of the probes, which have no epochs. "
