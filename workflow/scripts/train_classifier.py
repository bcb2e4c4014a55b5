"""Train, choose and test one classifier."""

import importlib

from triptych.classify.classifier import train_classifier
from triptych.experiments.experiment import experiment_of
from triptych.experiments.training import run_training
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        experiment = experiment_of(snakemake, running)
        # By name: an edit of what only checks must not make trainings stale.
        checks = importlib.import_module("triptych.checks.sizes")
        checks.refuse_misfits(experiment.dataset(), snakemake.config)
        row = snakemake.wildcards.get("architecture")  # of the grid; the supervised comparison is in none
        if row is not None and snakemake.config["architectures"][row]["attention"]:
            rollout = importlib.import_module("triptych.classify.attention_rollout")
            rollout.check_attention(experiment.dataset(), row, experiment.recipe["architecture"])
        run_training(train_classifier, experiment)
