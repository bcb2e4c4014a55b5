"""Measure how many epochs of pretraining fit into the minutes that the config allows."""

import importlib
from pathlib import Path

from triptych.data.packed import load_packed
from triptych.ssl.epoch_budget import measure_plan
from triptych.workflow.devices import choose_device
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        device = choose_device(recipe["device"])
        dataset = load_packed(str(Path(snakemake.input.data[0]).parent))
        importlib.import_module("triptych.checks.sizes").refuse_misfits(dataset, snakemake.config)
        plan = measure_plan(recipe, dataset, device)
        write_json(
            snakemake.output.plan,
            {**plan, "provenance": running.provenance(recipe=recipe, seed=0, device=str(device))},
        )
