"""Fit and test one linear classifier on cached features and a fraction of the labels."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.linear_probe import probe_label_fraction
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        probe_label_fraction(
            experiment_of(snakemake, running),
            train_file=snakemake.input.train,
            test_file=snakemake.input.test,
        )
