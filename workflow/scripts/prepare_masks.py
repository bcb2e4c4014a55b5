"""Bring the masks of a scene's frames into one form."""

from typing import TYPE_CHECKING

from triptych.sfm.masks import prepare_masks
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake):
        prepare_masks(
            snakemake.params.recipe["path"],
            snakemake.input.frames,
            snakemake.input.manifest,
            snakemake.output[0],
        )
