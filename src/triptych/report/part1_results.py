"""Part 1's results: accuracies by method and evaluation, beside the published ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from typing import Any

from triptych.report.class_results import has_top5, one_class_mark
from triptych.report.comparison import Comparison, compare, own_data, self_supervision_differences
from triptych.report.published import is_own, published_value
from triptych.report.results import (
    WARNED,
    PathLike,
    Result,
    read_history,
    read_result,
    read_results,
    warnings_of,
)
from triptych.report.statistics import Estimate, estimate

METHODS = {
    "simclr_linear_probe": "SimCLR + linear probe",
    "supervised_resnet18": "Supervised",
    "random_linear_probe": "Random encoder + linear probe",
}
RESNET18 = "triptych.models.resnet"  # the published network
METRICS = {"test_top1_accuracy": "Top-1 accuracy", "test_top5_accuracy": "Top-5 accuracy"}
BALANCED = {"test_balanced_accuracy": "Balanced accuracy"}


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
    def training_results(self) -> list[Result]:
        """The data set, the pretraining and all methods."""
        return [self.dataset, *self.pretraining, *chain.from_iterable(self.methods.values())]

    @property
    def evaluation_results(self) -> list[Result]:
        """The further evaluations of all encoders."""
        return [result for runs in self.evaluations.values() for result in chain.from_iterable(runs.values())]

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
