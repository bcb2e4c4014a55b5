"""Bring the masks of a scene's frames into one form."""

from triptych.sfm.masks import prepare_masks
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        prepare_masks(
            snakemake.params.recipe["path"],
            snakemake.input.frames,
            snakemake.input.manifest,
            snakemake.output.masks,
        )
        provenance = running.provenance(recipe=snakemake.params.recipe)
        write_json(snakemake.output.summary, {"provenance": provenance})
