"""Pretrain one SimCLR encoder."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

from triptych.experiments.experiment import experiment_of
from triptych.experiments.training import run_training
from triptych.ssl.simclr import pretrain
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        experiment = experiment_of(snakemake, running)
        checks = importlib.import_module("triptych.checks.sizes")
        checks.refuse_misfits(experiment.dataset(), snakemake.config)
        if snakemake.input.plan:
            plan = json.loads(Path(snakemake.input.plan[0]).read_text(encoding="utf-8"))
            experiment = replace(experiment, recipe={**experiment.recipe, "epochs": plan["epochs"]})
            run_training(pretrain, experiment, plan["step_seconds"])
        else:
            run_training(pretrain, experiment)
