"""Render the held-out views of one scene and compare them with the photographs."""

from pathlib import Path

from triptych.radiance.backend import choose_radiance_device
from triptych.radiance.evaluate import evaluate_views
from triptych.radiance.snapshot import load_field
from triptych.scenes.scene import read_scene
from triptych.workflow.files import atomic_folder, read_json, write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        files, recipe = snakemake.input, snakemake.params.recipe
        weights, field, device = (
            Path(files.weights),
            Path(files.field),
            choose_radiance_device(recipe["device"]),
        )
        radiance = load_field(weights, field, device=device, precision=recipe["precision"])
        split = read_json(field)
        scene = read_scene(files.transforms, downscale=split["downscale"])
        _, heldout = scene.split(split["holdout"])
        views = Path(snakemake.output.views)
        with atomic_folder(views) as folder:
            result = evaluate_views(scene, radiance, heldout, folder, folder_name=views.name)
        write_json(snakemake.output.numbers, {**result, "provenance": running.provenance(recipe=recipe)})
