"""The accuracy table of part 1, with the other evaluations of its encoders."""

from typing import Any

from triptych.report.class_results import class_table
from triptych.report.part1_results import read_self_supervision
from triptych.report.part1_tables import accuracy_rows, accuracy_table, evaluations_table
from triptych.report.tables import write_tables
from triptych.workflow.job import job


def main(results: dict[str, Any], targets: list[str]) -> None:
    """`results` are the arguments of `read_self_supervision`."""
    study = read_self_supervision(**results)
    tables = [accuracy_table(study), *([evaluations_table(study)] if study.evaluation_accuracies else [])]
    if study.comparison.own:
        tables.insert(1, class_table(study.by_title, study.dataset.values, all_classes=True))
    write_tables(tables, accuracy_rows(study), targets)


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.params.results, snakemake.output)
