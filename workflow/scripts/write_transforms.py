"""Write a scene's cameras in instant-ngp's format."""

from triptych.sfm.scene_frame import write_transforms
from triptych.workflow.files import read_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        write_transforms(
            snakemake.input.model,
            snakemake.input.manifest,
            snakemake.output.transforms,
            snakemake.output.cloud,
            snakemake.output.model,
            masks=snakemake.input.masks or None,
            held_out=read_json(snakemake.input.summary).get("held_out", ()),
            **recipe,
            provenance=running.provenance(recipe=recipe),
        )
