"""Copy a scene whose poses are known."""

from triptych.scenes.import_scene import import_scene
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        import_scene(
            recipe["path"],
            transforms=snakemake.output.transforms,
            frames=snakemake.output.frames,
            manifest=snakemake.output.manifest,
            model=snakemake.output.model,
            cloud=snakemake.output.cloud,
            colmap=recipe["source"] == "colmap",
            aabb_scale=recipe["aabb_scale"],
            provenance=running.provenance(recipe=recipe),
        )
