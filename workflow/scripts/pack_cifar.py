"""Pack a CIFAR python archive, downloaded or at a path, into plain arrays."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.data.cifar import read_cifar
from triptych.data.packed import save_packed
from triptych.data.sources import given_hashes
from triptych.workflow.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        if recipe["source"] == "archive":
            images = read_cifar(recipe["path"], hashes=given_hashes(recipe))
        else:  # a download was checked when it came
            images = read_cifar(snakemake.input.files[0], expect=recipe["source"])
        save_packed(
            Path(snakemake.output.dataset).parent,
            images.subset(**{key: recipe[key] for key in ("train_size", "test_size", "seed")}),
            name=snakemake.wildcards.dataset,
            provenance=running.provenance(recipe=recipe, seed=recipe["seed"]),
        )
