"""Choose the frames of a scene."""

from triptych.sfm.frames import extract_frames
from triptych.workflow.files import write_json
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = dict(snakemake.params.recipe)
        path = recipe.pop("path")
        counts = extract_frames(
            str(snakemake.input.get("film") or path),
            snakemake.output.frames,
            snakemake.output.manifest,
            snakemake.output.thumbnails,
            **recipe,
            threads=snakemake.threads,
        )
        provenance = running.provenance(recipe=dict(snakemake.params.recipe))
        write_json(snakemake.output.summary, {**counts, "provenance": provenance})
