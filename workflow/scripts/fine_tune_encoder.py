"""Train a pretrained encoder further, with labels."""

from triptych.experiments.experiment import experiment_of
from triptych.experiments.training import run_training
from triptych.ssl.fine_tune import fine_tune
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        run_training(fine_tune, experiment_of(snakemake, running), snakemake.input.encoder)
