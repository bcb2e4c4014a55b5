"""Save an encoder with random weights."""

from triptych.experiments.experiment import experiment_of
from triptych.ssl.random_encoder import initialise
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        initialise(experiment_of(snakemake, running))
