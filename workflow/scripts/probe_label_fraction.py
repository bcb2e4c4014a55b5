"""Fit and test one linear classifier on cached features and a fraction of the labels."""

from typing import TYPE_CHECKING

from triptych.experiments.experiment import experiment_of
from triptych.ssl.linear_probe import probe_label_fraction
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        probe_label_fraction(
            experiment_of(snakemake, running),
            train_file=snakemake.input.train,
            test_file=snakemake.input.test,
        )
