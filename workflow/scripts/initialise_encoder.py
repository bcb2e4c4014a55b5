"""Save an encoder with random weights."""

from typing import TYPE_CHECKING

from triptych.experiments.experiment import experiment_of
from triptych.ssl.random_encoder import initialise
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        initialise(experiment_of(snakemake, running))
