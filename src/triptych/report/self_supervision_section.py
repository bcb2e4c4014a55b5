"""Part I of the page."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from triptych.report.results import read_history, read_result, read_results
from triptych.report.sections import Headline, Section, drawing
from triptych.report.self_supervision_table import (
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
    accuracy: str | Path,
) -> Section:
    """Part I from its files: `methods` by the keys of `METHODS`, `histories` by published run."""
    data = read_result(dataset)
    groups = {name: read_results(paths) for name, paths in methods.items()}
    epochs = {run: int(read_history(path)["epoch"].max()) for run, path in histories.items()}
    comparison = self_supervision_comparison(groups, data.values, epochs)
    estimates = self_supervision_estimates(groups)
    probe = estimates["test_top1_accuracy", "simclr_linear_probe"]
    over = "The dashed lines are the published logs." if comparison.same_dataset else (
        "The published logs belong to another data set and are not drawn."
    )  # fmt: skip
    many = "Thin: every seed; thick: their mean. " if probe.n > 1 else ""
    return Section(
        headline=Headline(f"{probe.mean:.1f}", "%", "top-1 accuracy, SimCLR + linear probe", probe.source),
        results=[data, *read_results(simclr), *(result for group in groups.values() for result in group)],
        tables=[self_supervision_table(estimates, comparison)],
        drawings=[
            drawing(
                loss,
                caption=f"The contrastive loss of the pretraining. {many}{over}",
                description="SimCLR loss by epoch",
            ),
            drawing(
                accuracy,
                caption=f"Validation accuracy of the probes and of supervised training. {many}{over}",
                description="Validation accuracy by epoch",
            ),
        ],
        verdict=comparison.verdict,
        likeness=comparison.likeness,
    )
