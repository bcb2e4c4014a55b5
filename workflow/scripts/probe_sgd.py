"""Train and test one linear classifier on a frozen encoder and augmented images."""

from triptych.experiments.experiment import experiment_of
from triptych.experiments.training import run_training
from triptych.ssl.sgd_probe import sgd_probe
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        run_training(sgd_probe, experiment_of(snakemake, running), snakemake.input.encoder)
