"""Compute the features of all images once."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.features import compute_features
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        compute_features(experiment_of(snakemake, running), snakemake.input.encoder)
