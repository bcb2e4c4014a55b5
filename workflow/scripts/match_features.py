"""Find SIFT features in a scene's frames and match them."""

from triptych.sfm.matching import match_features
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake):
        match_features(
            snakemake.input.frames,
            snakemake.output.database,
            masks=snakemake.input.masks or None,
            **snakemake.params.recipe,
            threads=snakemake.threads,
        )
