"""Pack a folder of images into plain arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.data.folder import read_folder
from triptych.data.packed import LabelledImages, save_packed
from triptych.data.subset import take_subset
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(recipe: dict[str, Any], workers: int) -> LabelledImages:
    """Read the recipe's folder with `workers` threads."""
    images = read_folder(
        recipe["path"],
        image_size=recipe["image_size"],
        test_fraction=recipe["test_fraction"],
        seed=recipe["seed"],
        workers=workers,
    )
    return take_subset(
        images, train_size=recipe["train_size"], test_size=recipe["test_size"], seed=recipe["seed"]
    )


if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        save_packed(
            Path(snakemake.output.dataset).parent,
            main(recipe, snakemake.threads),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
