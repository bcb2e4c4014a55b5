"""Draw the embedded data set of shapes."""

from pathlib import Path

from triptych.data.packed import save_packed
from triptych.data.shapes import generate_shapes
from triptych.workflow.job import job

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        save_packed(
            Path(snakemake.output.dataset).parent,
            generate_shapes(**{key: value for key, value in recipe.items() if key != "source"}),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
