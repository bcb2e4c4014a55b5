"""Train, choose and test one classifier."""

from typing import TYPE_CHECKING

from triptych.classify.classifier import train_classifier
from triptych.classify.experiment import experiment_of
from triptych.classify.training import run_training
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        run_training(train_classifier, experiment_of(snakemake, running))
