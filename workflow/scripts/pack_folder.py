"""Pack a folder of images into plain arrays."""

from dataclasses import replace
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
        # Not params: where the images lie changes nothing; their contents are one.
        settings = snakemake.config["datasets"][snakemake.wildcards.dataset]
        images = read_folder(
            **{key: settings[key] for key in ("path", "labels")},
            **{key: recipe[key] for key in ("image_size", "test_fraction", "seed")},
            workers=snakemake.threads,
        )
        images = replace(images, source={**images.source, "contents": snakemake.params.contents})
        save_packed(
            Path(snakemake.output.dataset).parent,
            images.subset(**{key: recipe[key] for key in ("train_size", "test_size", "seed")}),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
