"""Fit and test one linear classifier on cached features."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.linear_probe import probe
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        probe(
            experiment_of(snakemake, running),
            train_file=snakemake.input.train,
            test_file=snakemake.input.test,
        )
