"""Try all networks of the grid: one that cannot be built is found before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.classify.trial import try_networks
from triptych.data.packed import load_packed
from triptych.run.files import write_json
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        patches = try_networks(load_packed(str(Path(snakemake.input.data[0]).parent)), **recipe)
        values = {"patches": patches, "provenance": running.provenance(recipe=recipe, seed=0)}
        write_json(snakemake.output[0], values)
