"""Render the held-out views of one scene by NVlabs' instant-ngp and compare them with the photographs."""

from pathlib import Path
from tempfile import TemporaryDirectory

from triptych.radiance.instant_ngp import Program
from triptych.radiance.instant_ngp_scene import evaluate_views
from triptych.scenes.scene import read_scene
from triptych.workflow.files import atomic_folder, write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe, views = snakemake.params.recipe, Path(snakemake.output.views)
        scene = read_scene(snakemake.input.transforms, downscale=recipe["downscale"])
        _, heldout = scene.split(recipe["holdout"])
        with atomic_folder(views) as folder, TemporaryDirectory(dir=views.parent) as scratch:
            result = evaluate_views(
                Program(**snakemake.params.program),
                scene,
                Path(snakemake.input.snapshot),
                heldout,
                folder,
                Path(scratch).resolve(),
                folder_name=views.name,
            )
        provenance = running.provenance(recipe=recipe, device="cuda")
        write_json(snakemake.output.numbers, {**result, "provenance": provenance})
