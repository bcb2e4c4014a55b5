"""Find the camera poses and the points of a scene."""

from triptych.sfm.mapping import map_scene
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        found = map_scene(
            snakemake.input.frames,
            snakemake.input.database,
            snakemake.output.model,
            settings=recipe,
            masks=snakemake.input.masks or None,
            holdout=recipe.get("holdout"),
            threads=snakemake.threads,
        )
        write_json(
            snakemake.output.summary,
            {
                **found,
                "provenance": running.provenance(recipe=recipe, seed=recipe["seed"]),
            },
        )
