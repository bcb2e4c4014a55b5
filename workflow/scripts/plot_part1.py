"""Figures of part 1, each named by the output of its rule."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from triptych.report.comparison import same_dataset
from triptych.report.figures import save_figure
from triptych.report.part1_figures import (
    accuracy_figure,
    feature_map_figure,
    loss_figure,
    method_confusion_figure,
    neighbours_figure,
)
from triptych.report.results import read_history, read_result, read_results
from triptych.report.statistics import estimate
from triptych.workflow.job import job


def loss(inputs: Any, _: Any) -> Figure:
    """The contrastive loss; `inputs.simclr` are histories of all seeds."""
    histories = [read_history(path) for path in inputs.simclr]
    return loss_figure(histories, with_published=_same_dataset(inputs))


def neighbours(inputs: Any, _: Any) -> Figure:
    """Nearest neighbours during the pretraining."""
    return neighbours_figure([read_history(path) for path in inputs.simclr])


def accuracy(inputs: Any, _: Any) -> Figure:
    """Accuracies by epoch; a method that has metrics instead of histories has no epochs."""
    methods = {
        "simclr_linear_probe": inputs.probe,
        "supervised_resnet18": inputs.supervised,
        "random_linear_probe": inputs.random,
    }
    histories, levels = {}, {}
    for name, paths in methods.items():
        if paths and paths[0].endswith(".csv"):
            histories[name] = [read_history(path) for path in paths]
        elif paths:
            levels[name] = estimate(read_results(paths), "validation_top1_accuracy").mean
    return accuracy_figure(histories, levels=levels, with_published=_same_dataset(inputs))


def feature_map(inputs: Any, _: Any) -> Figure:
    """Maps of the features of test images."""
    return feature_map_figure(
        {"SimCLR": read_history(inputs.simclr_map[0]), "Random encoder": read_history(inputs.random_map[0])},
        count=len(read_result(inputs.dataset).values["classes"]),
    )


def confusion(inputs: Any, _: Any) -> Figure:
    """What the probe on SimCLR's features and supervised training confuse."""
    methods = {
        "SimCLR + linear probe": read_results(inputs.probe_results),
        "Supervised": read_results(inputs.supervised_results),
    }
    methods = {title: results for title, results in methods.items() if results}
    return method_confusion_figure(methods, read_result(inputs.dataset).values["classes"])


def _same_dataset(inputs: Any) -> bool:
    return same_dataset("self_supervision", read_result(inputs.dataset).values)


FIGURES = {
    "loss": loss,
    "neighbours": neighbours,
    "accuracy": accuracy,
    "confusion": confusion,
    "feature_map": feature_map,
}


def main(figure: str, inputs: Any, params: Any, target: str | Sequence[str]) -> None:
    """Draw one of `FIGURES` from a rule's named inputs and params; a second target is for a narrow page."""
    save_figure(lambda: FIGURES[figure](inputs, params), target)


if "snakemake" in globals():
    with job(snakemake):
        for figure, target in snakemake.output.items():
            main(figure, snakemake.input, snakemake.params, target)
