"""Count the labels of every share: one that is too small is found before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.classify.label_counts import count_labels
from triptych.data.packed import load_packed
from triptych.run.files import write_json
from triptych.run.job import job

if TYPE_CHECKING:
    from snakemake.iocontainers import snakemake

if "snakemake" in globals():
    with job(snakemake) as running:
        recipe = snakemake.params.recipe
        counts = count_labels(load_packed(str(Path(snakemake.input.data[0]).parent)), recipe)
        write_json(snakemake.output[0], {**counts, "provenance": running.provenance(recipe=recipe, seed=0)})
