"""Render the held-out views of one scene and compare them with the photographs."""

from pathlib import Path

from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.trained import load_trained
from triptych.workflow.files import atomic_folder, write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        files, recipe = snakemake.input, snakemake.params.recipe
        trained = load_trained(files.transforms, files.weights, files.field, recipe)
        views = Path(snakemake.output.views)
        with atomic_folder(views) as folder:
            result = evaluate_views(
                trained.scene, trained.radiance, trained.held_out, folder, folder_name=views.name
            )
        write_json(snakemake.output.numbers, {**result, "provenance": running.provenance(recipe=recipe)})
