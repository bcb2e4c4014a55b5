"""Render the embedded film and its true cameras."""

from triptych.sfm.orbit import film_orbit
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        film_orbit(
            snakemake.output.film,
            snakemake.output.truth,
            **recipe,
            threads=snakemake.threads,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
