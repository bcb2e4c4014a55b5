"""Compute the features of all images once."""

from typing import TYPE_CHECKING

from triptych.experiments.experiment import experiment_of
from triptych.ssl.features import compute_features
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        compute_features(experiment_of(snakemake, running), snakemake.input.encoder)
