"""Choose the frames of a scene."""

from typing import TYPE_CHECKING

from triptych.sfm.frames import extract_frames
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake):
        recipe = dict(snakemake.params.recipe)
        path = recipe.pop("path")
        extract_frames(
            str(snakemake.input.get("film") or path),
            snakemake.output.frames,
            snakemake.output.manifest,
            snakemake.output.thumbnails,
            **recipe,
            threads=snakemake.threads,
        )
