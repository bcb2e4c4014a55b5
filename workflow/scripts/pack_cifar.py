"""Pack a CIFAR python archive, downloaded or at a path, into plain arrays."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.data.cifar import read_cifar
from triptych.data.packed import LabelledImages, save_packed
from triptych.data.sources import given_hashes
from triptych.data.subset import take_subset
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake


def main(recipe: dict[str, Any], archive: str) -> LabelledImages:
    """Read what the recipe names; a download was checked when it came."""
    if recipe["source"] == "archive":
        images = read_cifar(recipe["path"], hashes=given_hashes(recipe))
    else:
        images = read_cifar(archive, expect=recipe["source"])
    return take_subset(
        images, train_size=recipe["train_size"], test_size=recipe["test_size"], seed=recipe["seed"]
    )


if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        save_packed(
            Path(snakemake.output.dataset).parent,
            main(recipe, snakemake.input.files[0]),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
