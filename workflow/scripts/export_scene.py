"""Export one scene: its surface as a mesh, and what its training cameras see as a point cloud."""

from pathlib import Path

from triptych.radiance.export import export_scene
from triptych.radiance.ray_sampler import read_masks
from triptych.radiance.trained import load_trained
from triptych.scenes.scene_files import read_scene_file
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        files, recipe = snakemake.input, snakemake.params.recipe
        trained = load_trained(files.transforms, files.weights, files.field, recipe)
        numbers = export_scene(
            trained.radiance,
            read_scene_file(files.transforms).world,
            trained.scene.cameras.select(trained.training).to(trained.device),
            Path(snakemake.output.numbers).parent,
            masks=read_masks(trained.scene, trained.training),
            **{name: value for name, value in recipe.items() if name not in ("device", "precision")},
        )
        write_json(snakemake.output.numbers, {**numbers, "provenance": running.provenance(recipe=recipe)})
