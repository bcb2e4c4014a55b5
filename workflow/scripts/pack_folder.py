"""Pack a folder of images into plain arrays."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.data.folder import read_folder
from triptych.data.packed import save_packed
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        images = read_folder(
            **{key: recipe[key] for key in ("path", "image_size", "test_fraction", "seed")},
            workers=snakemake.threads,
        )
        save_packed(
            Path(snakemake.output.dataset).parent,
            images.subset(**{key: recipe[key] for key in ("train_size", "test_size", "seed")}),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
